// Command example is a whole connector, for a source that has its results behind a REST endpoint.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"

	"github.com/lrshub/lrshub/plugins/contract"
	"github.com/lrshub/lrshub/plugins/sdk"
)

type quiz struct{}

func (quiz) Describe(config []byte) (sdk.Description, error) {
	d := sdk.Description{
		Name: "quiz", Version: "1.0.0", Summary: "results of Quiz Server",
		ConfigSchema: `{"type":"object","required":["url"],"properties":{
			"url":{"type":"string"},"token":{"type":"string","x-secret":true}}}`,
	}
	if config == nil {
		return d, nil
	}
	var c struct{ URL string }
	if err := json.Unmarshal(config, &c); err != nil || c.URL == "" {
		return d, sdk.Errorf(sdk.ClassConfig, "url is missing: write the server's address, like https://quiz.example.org")
	}
	d.Hosts = []string{c.URL}
	d.Auth = []sdk.Auth{{Kind: contract.AuthBearer, Secret: "token"}}
	d.Streams = []sdk.Stream{{
		Name: "results", Key: []string{"id"}, Subject: "user", Mode: contract.Incremental,
		Fields: []sdk.Field{
			{Name: "id", Type: contract.Int},
			{Name: "user", Type: contract.String},
			{Name: "score", Type: contract.Double, Optional: true},
		},
	}}
	return d, nil
}

func (q quiz) Check(ctx context.Context, s *sdk.Session) error {
	_, err := q.after(ctx, s, 0)
	return err
}

func (q quiz) Read(ctx context.Context, s *sdk.Session, r sdk.Request, out *sdk.Output) error {
	last, _ := strconv.ParseInt(string(r.Cursor), 10, 64) // no cursor: from the start
	for {
		results, err := q.after(ctx, s, last)
		if err != nil || len(results) == 0 {
			return err
		}
		before := last
		for _, result := range results {
			var known struct{ ID int64 }
			if err := json.Unmarshal(result, &known); err != nil {
				return sdk.Errorf(sdk.ClassSourceBug, "after result %d: a result has no number as its id", last)
			}
			if known.ID <= last {
				continue // it stood on the page before, too
			}
			last = known.ID
			if err := out.Record(result, fmt.Sprint("result ", last)); err != nil {
				return err
			}
		}
		if last == before {
			return sdk.Errorf(sdk.ClassSourceBug, "after result %d: the source gives the same results again", last)
		}
		if err := out.Checkpoint(strconv.AppendInt(nil, last, 10)); err != nil {
			return err
		}
	}
}

// after asks for the results whose id is above last, in order; the server gives some at a time.
func (quiz) after(ctx context.Context, s *sdk.Session, last int64) (results []json.RawMessage, err error) {
	var c struct{ URL string }
	if err := json.Unmarshal(s.Config, &c); err != nil {
		return nil, sdk.Errorf(sdk.ClassConfig, "the configuration is not a JSON object")
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("%s/results?after=%d", c.URL, last), nil)
	if err != nil {
		return nil, sdk.Errorf(sdk.ClassConfig, "url is not an address")
	}
	response, err := s.HTTP.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	if err := sdk.CheckStatus(response); err != nil {
		return nil, err
	}
	if err := json.NewDecoder(response.Body).Decode(&results); err != nil {
		return nil, sdk.Errorf(sdk.ClassSourceBug, "the answer after result %d is not a list", last)
	}
	return results, nil
}

func main() { sdk.Serve(quiz{}) }
