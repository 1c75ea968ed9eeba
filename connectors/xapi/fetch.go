package xapi

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/lrshub/lrshub/plugins/contract"
	"github.com/lrshub/lrshub/plugins/sdk"
)

// maxAnswer bounds what is read of one page, in bytes.
const maxAnswer = 256 << 20

// client asks the store.
type client struct {
	c *config
	s *sdk.Session
}

// page is one answer to a query.
type page struct {
	statements []json.RawMessage
	more       *url.URL  // nil: it is the last
	consistent time.Time // everything stored up to then is told by now
	version    string
}

func (c *client) get(ctx context.Context, u *url.URL) (*http.Response, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, sdk.Errorf(sdk.ClassConfig, "xapi: endpoint is not an address")
	}
	request.Header.Set("X-Experience-API-Version", c.c.Version)
	request.Header.Set("Accept", "application/json, multipart/mixed")
	return c.s.HTTP.Do(request)
}

// page asks for a page of statements.
func (c *client) page(ctx context.Context, u *url.URL) (*page, error) {
	response, err := c.get(ctx, u)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	if err := sdk.CheckStatus(response); err != nil {
		return nil, err
	}
	text, err := body(response)
	if err != nil {
		return nil, err
	}
	var answer struct {
		Statements []json.RawMessage
		More       string
	}
	if err := json.Unmarshal(text, &answer); err != nil || answer.Statements == nil {
		return nil, sdk.Errorf(sdk.ClassSourceBug, "xapi: the store's answer is no StatementResult; is endpoint the address that statements are below?")
	}
	got := &page{statements: answer.Statements, version: version(response, c.c.Version), consistent: c.consistent(response)}
	if answer.More != "" {
		if got.more, err = c.more(u, answer.More); err != nil {
			return nil, err
		}
	}
	return got, nil
}

// more resolves the link to the next page (1.0.3 Data 4.2): relative to the store's root, and on the same host, since it is sent the credential.
func (c *client) more(from *url.URL, link string) (*url.URL, error) {
	next, err := from.Parse(link)
	if err != nil || next.Scheme != c.c.base.Scheme || next.Host != c.c.base.Host {
		return nil, sdk.Errorf(sdk.ClassSourceBug, "xapi: the store's link to more statements leads to another host, where its credential is not sent; is endpoint the address by which it knows itself?")
	}
	if next.String() == from.String() {
		return nil, sdk.Errorf(sdk.ClassSourceBug, "xapi: the store's link to more statements leads back to the same page")
	}
	return next, nil
}

// version is the one that the store answers in, if it is one that the hub knows.
func version(r *http.Response, asked string) string {
	switch told := r.Header.Get("X-Experience-API-Version"); {
	case strings.HasPrefix(told, "1.0"):
		return "1.0.3"
	case strings.HasPrefix(told, "2.0"):
		return "2.0.0"
	}
	return asked
}

// consistent is up to when the store has told everything: as it says, or some time ago, by its own clock if it tells that.
func (c *client) consistent(r *http.Response) time.Time {
	if through, err := time.Parse(time.RFC3339, r.Header.Get("X-Experience-API-Consistent-Through")); err == nil {
		return through
	}
	now := c.s.Now()
	if theirs, err := http.ParseTime(r.Header.Get("Date")); err == nil {
		now = theirs
	}
	return now.Add(-c.c.lookback)
}

// body reads an answer's JSON: all of it, or the first part of a multipart answer, which some stores give always.
func body(r *http.Response) ([]byte, error) {
	from := io.Reader(r.Body)
	if kind, parameters, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err == nil && kind == "multipart/mixed" {
		part, err := multipart.NewReader(r.Body, parameters["boundary"]).NextRawPart()
		if err != nil {
			return nil, broken(err)
		}
		from = part
	}
	text, err := io.ReadAll(io.LimitReader(from, maxAnswer+1))
	if err != nil {
		return nil, broken(err)
	}
	if len(text) > maxAnswer {
		return nil, sdk.Errorf(sdk.ClassConfig, "xapi: a page of statements has more than %d bytes; set a smaller page", maxAnswer)
	}
	return text, nil
}

// broken words that an answer cannot be read; the hub's own errors stay.
func broken(err error) error {
	var known *sdk.Error
	if errors.As(err, &known) {
		return err
	}
	return sdk.Errorf(sdk.ClassTransient, "xapi: the store's answer broke off, or is not the multipart answer that it says")
}

// single asks for one statement; nil if there is none.
func (c *client) single(ctx context.Context, by, id string) (json.RawMessage, error) {
	response, err := c.get(ctx, c.byID(by, id, false))
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	if response.StatusCode == http.StatusNotFound || response.StatusCode == http.StatusBadRequest { // 400: what it voids is no UUID
		return nil, nil
	}
	if err := sdk.CheckStatus(response); err != nil {
		return nil, err
	}
	return body(response)
}

func (c *client) byID(by, id string, attachments bool) *url.URL {
	u := c.c.base.JoinPath("statements")
	q := url.Values{by: {id}, "format": {"exact"}}
	if attachments {
		q.Set("attachments", "true")
	}
	u.RawQuery = q.Encode()
	return u
}

var errTooLarge = errors.New("the attachments are too large")

// contents asks for a statement's attachments, of at most so many bytes in the record.
func (c *client) contents(ctx context.Context, st statement, by string, limit int) ([]contract.Attachment, error) {
	response, err := c.get(ctx, c.byID(by, st.ID, true))
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	if err := sdk.CheckStatus(response); err != nil {
		return nil, err
	}
	list := []contract.Attachment{} // asked for, even if there are none
	kind, parameters, err := mime.ParseMediaType(response.Header.Get("Content-Type"))
	if err != nil || kind != "multipart/mixed" {
		return list, nil // all of them are elsewhere, at their fileUrl
	}
	parts := multipart.NewReader(response.Body, parameters["boundary"])
	for n, left := 0, limit; ; n++ {
		part, err := parts.NextRawPart()
		if err == io.EOF {
			return list, nil
		}
		if err != nil {
			return nil, broken(err)
		}
		data, err := io.ReadAll(io.LimitReader(part, int64(left)*3/4+1))
		if err != nil {
			return nil, broken(err)
		}
		if left -= (len(data) + 2) / 3 * 4; left < 0 {
			return nil, errTooLarge
		}
		if sha2 := part.Header.Get("X-Experience-API-Hash"); n > 0 && sha2 != "" { // the first part is the statement
			list = append(list, contract.Attachment{SHA2: sha2, ContentType: part.Header.Get("Content-Type"), Data: data})
		}
	}
}
