package sync

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/lrshub/lrshub/connectors/csv"
	"github.com/lrshub/lrshub/plugins/contract"
	"github.com/lrshub/lrshub/plugins/kit"
	"github.com/lrshub/lrshub/plugins/sdk"
)

// The test program serves these connectors as processes of their own.
func TestMain(m *testing.M) {
	kit.Main(m, map[string]func() sdk.Connector{"csv": csv.New, "ledger": func() sdk.Connector { return ledger{} }})
}

// ledger counts entries up to the number in the file total. The file script says how it behaves; it cannot write, being a connector.
type ledger struct{}

type ledgerConfig struct {
	Folder string `json:"folder"`
}

var entries = contract.Stream{
	Name: "entries", Key: []string{"n"}, Subject: "who", Mode: contract.Incremental, Ranges: true,
	Fields: []contract.Field{{Name: "n", Type: contract.Int}, {Name: "who", Type: contract.String}, {Name: "unmapped", Type: contract.String}},
}

func (ledger) Describe([]byte) (sdk.Description, error) {
	return sdk.Description{
		Name: "ledger", Version: "1.0.0", Summary: "entries that are counted",
		ConfigSchema: `{"type":"object","required":["folder"],"additionalProperties":false,"properties":{"folder":{"type":"string"},"token":{"type":"string","x-secret":true}}}`,
		Secrets:      []string{"token"},
		Streams:      []contract.Stream{entries},
	}, nil
}

func (ledger) Check(context.Context, *sdk.Session) error { return nil }

// Commit tells the log what the hub said is stored for good.
func (ledger) Commit(_ context.Context, s *sdk.Session, _, _ string, cursor []byte) error {
	s.Log.Info("stored for good", "entries", string(cursor))
	return nil
}

func folderOf(s *sdk.Session) (string, error) {
	var c ledgerConfig
	return c.Folder, json.Unmarshal(s.Config, &c)
}

func (ledger) Read(ctx context.Context, s *sdk.Session, r sdk.Request, out *sdk.Output) error {
	folder, err := folderOf(s)
	if err != nil {
		return err
	}
	if token, err := s.Secret(ctx, "token"); err != nil || token != "open-sesame" {
		return sdk.Errorf(sdk.ClassAuth, "the token is not the one")
	}
	at, _ := strconv.Atoi(string(r.Cursor))
	total, err := readNumber(filepath.Join(folder, "total"))
	if err != nil {
		return sdk.Errorf(sdk.ClassConfig, "the folder holds no file total")
	}
	if !r.Since.IsZero() { // entry n was made n seconds after 1970
		return ledger{}.pages(ctx, "", 0, int(r.Since.Unix())-1, int(r.Until.Unix())-1, out)
	}
	what, number, err := readScript(filepath.Join(folder, "script"))
	if err != nil {
		return err
	}
	switch what {
	case "auth":
		return sdk.Errorf(sdk.ClassAuth, "the source does not accept the credentials: renew the token")
	case "rate":
		return &sdk.Error{Class: sdk.ClassRateLimit, RetryAfter: time.Duration(number) * time.Second, Message: "too many requests"}
	case "hang":
		out.Progress(0, int64(total))
		<-ctx.Done()
		return ctx.Err()
	case "expired":
		if r.Cursor != nil {
			return sdk.Errorf(sdk.ClassCursorExpired, "too long ago")
		}
	}
	return ledger{}.pages(ctx, what, number, at, total, out)
}

// pages brings ten entries a page.
func (ledger) pages(ctx context.Context, what string, number, at, total int, out *sdk.Output) error {
	for page := 1; at < total; page++ {
		for range min(10, total-at) {
			at++
			record := fmt.Sprintf(`{"n":%d,"who":"who-%d","unmapped":"zq-unmapped-token"}`, at, at%7)
			if err := out.Record([]byte(record), fmt.Sprintf("entry %d", at)); err != nil {
				return err
			}
		}
		out.Progress(int64(at), int64(total))
		if err := out.Checkpoint([]byte(strconv.Itoa(at))); err != nil {
			return err
		}
		switch {
		case what == "die" && at == number*10:
			os.Exit(3)
		case what == "slow":
			select {
			case <-time.After(time.Duration(number) * time.Millisecond):
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	}
	return nil
}

func readNumber(path string) (int, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(strings.TrimSpace(string(text)))
}

// readScript reads "what number"; there may be nothing.
func readScript(path string) (what string, number int, err error) {
	text, err := os.ReadFile(path)
	if err != nil || len(text) == 0 {
		return "", 0, err
	}
	_, err = fmt.Sscan(string(text), &what, &number)
	return what, number, err
}

// csvDescription asks the connector in this process, which is the same.
func csvDescription(config []byte) (contract.Description, error) { return csv.New().Describe(config) }
