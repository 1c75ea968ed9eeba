package scim

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/lrshub/lrshub/plugins/contract"
	"github.com/lrshub/lrshub/plugins/sdk"
	"github.com/lrshub/lrshub/plugins/sdk/scim"
)

// maxPage bounds an answer of the provider, in bytes.
const maxPage = 64 << 20

// reader reads one stream.
type reader struct {
	session *sdk.Session
	config  config
	out     *sdk.Output
	path    string
	stream  contract.Stream
}

// place is where a reading stands: what stands in the connection's cursor. It holds no data: the provider's own cursors are opaque (RFC 9865, section 2).
type place struct {
	Index   int      `json:"index,omitempty"`   // next startIndex; 0: paging goes by cursor
	Cursor  string   `json:"cursor,omitempty"`  // of the next page; "" for the first
	Total   int      `json:"total,omitempty"`   // totalResults of the first page
	Seen    int      `json:"seen,omitempty"`    // resources so far
	Drifted bool     `json:"drifted,omitempty"` // the source changed while it was read, or something could not be read: what was not seen need not be gone
	Page    []uint32 `json:"page,omitempty"`    // digests of the ids of the page before, to see one that comes again
}

// list is a ListResponse (RFC 7644, section 3.4.2, and RFC 9865).
type list struct {
	Schemas    []string          `json:"schemas"`
	Total      *int              `json:"totalResults"`
	Start      int               `json:"startIndex"`
	Resources  []json.RawMessage `json:"Resources"`
	NextCursor string            `json:"nextCursor"`
}

func (r *reader) read(ctx context.Context, request sdk.Request) error {
	at, err := r.begin(ctx, request.Cursor)
	if err != nil {
		return err
	}
	for {
		page, err := r.get(ctx, r.path, r.query(at))
		if err != nil {
			return err
		}
		next, more, err := at.after(page, r.config.Page)
		if err != nil {
			return err
		}
		for i, resource := range page.Resources {
			good, err := r.emit(resource, fmt.Sprintf("%s, resource %d", r.path, at.Seen+i+1))
			if err != nil {
				return err
			}
			next.Drifted = next.Drifted || !good
		}
		if !more && !next.Drifted && (next.Total == 0 || next.Seen == next.Total) {
			if err := r.out.SnapshotComplete(); err != nil {
				return err
			}
		}
		if !more {
			return r.out.Checkpoint(nil) // the next reading begins at the start
		}
		at = next
		text, err := json.Marshal(at)
		if err != nil {
			return err
		}
		if err := r.out.Checkpoint(text); err != nil {
			return err
		}
		r.out.Progress(int64(at.Seen), int64(at.Total))
	}
}

// begin says where to begin, and how to page.
func (r *reader) begin(ctx context.Context, cursor []byte) (place, error) {
	if len(cursor) > 0 {
		var at place
		if err := json.Unmarshal(cursor, &at); err != nil {
			return at, sdk.Errorf(sdk.ClassCursorExpired, "the cursor is of another version of this connector")
		}
		return at, nil
	}
	paging := r.config.Paging
	if paging == "auto" {
		var err error
		if paging, err = r.preferred(ctx); err != nil {
			return place{}, err
		}
	}
	if paging == "cursor" {
		return place{}, nil
	}
	return place{Index: 1}, nil
}

// preferred asks the provider how it pages (RFC 9865, section 4). One that does not say pages by index.
func (r *reader) preferred(ctx context.Context) (string, error) {
	response, err := r.request(ctx, "/ServiceProviderConfig", nil)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	if response.StatusCode == http.StatusNotFound || response.StatusCode == http.StatusForbidden {
		return "index", nil
	}
	if err := sdk.CheckStatus(response); err != nil {
		return "", err
	}
	var about struct {
		Pagination struct {
			Cursor bool `json:"cursor"`
		} `json:"pagination"`
	}
	if err := json.NewDecoder(io.LimitReader(response.Body, maxPage)).Decode(&about); err != nil {
		return "index", nil
	}
	if about.Pagination.Cursor {
		return "cursor", nil
	}
	return "index", nil
}

func (r *reader) query(at place) url.Values {
	q := url.Values{"count": {strconv.Itoa(r.config.Page)}}
	if at.Index > 0 {
		q.Set("startIndex", strconv.Itoa(at.Index))
	} else {
		q.Set("cursor", at.Cursor) // empty for the first page
	}
	if r.config.Filter != "" && r.stream.Name == scim.UserStream {
		q.Set("filter", r.config.Filter)
	}
	return q
}

// after is the place after a page, and whether there is more.
func (at place) after(page list, size int) (next place, more bool, err error) {
	next = at
	next.Page = digests(page.Resources)
	fresh := len(next.Page)
	for _, id := range next.Page {
		if slices.Contains(at.Page, id) { // somebody was added meanwhile, before it, and pushed it onto this page
			fresh--
		}
	}
	next.Seen += fresh
	if len(next.Page) > 0 && fresh == 0 || at.Index > 0 && page.Start > 0 && page.Start != at.Index {
		return next, false, sdk.Errorf(sdk.ClassSourceBug, "the provider gives another page than was asked for: its pages would never end, or lack some")
	}
	if page.Total != nil {
		if at.Seen == 0 && at.Total == 0 {
			next.Total = *page.Total
		}
		next.Drifted = next.Drifted || next.Total != *page.Total
	}
	if at.Index == 0 {
		if page.NextCursor != "" && page.NextCursor == at.Cursor {
			return next, false, sdk.Errorf(sdk.ClassSourceBug, "the provider gives the same cursor again: its pages would never end")
		}
		next.Cursor = page.NextCursor
		return next, page.NextCursor != "", nil
	}
	if page.Total == nil {
		return next, false, sdk.Errorf(sdk.ClassSourceBug, "the provider's list has no totalResults")
	}
	next.Index += fresh
	return next, len(page.Resources) > 0 && next.Index <= *page.Total, nil
}

// digests tells resources apart by their ids, which cannot be read back from it.
func digests(resources []json.RawMessage) []uint32 {
	list := make([]uint32, len(resources))
	for i, resource := range resources {
		var known struct {
			ID string `json:"id"`
		}
		_ = json.Unmarshal(resource, &known) // emit says what is wrong with it
		sum := fnv.New32a()
		sum.Write([]byte(known.ID))
		list[i] = sum.Sum32()
	}
	return list
}

// emit brings one resource; good is false if it cannot be read.
func (r *reader) emit(resource json.RawMessage, position string) (good bool, err error) {
	if !utf8.Valid(resource) {
		return false, r.out.Bad(sdk.BadRecord, position, "the resource is not UTF-8", resource)
	}
	decoder := json.NewDecoder(bytes.NewReader(resource))
	decoder.UseNumber()
	var members map[string]any
	if err := decoder.Decode(&members); err != nil || members == nil {
		return false, r.out.Bad(sdk.BadRecord, position, "the resource is not a JSON object", resource)
	}
	record, err := json.Marshal(scim.Plain(r.stream, members))
	if err != nil {
		return false, r.out.Bad(sdk.BadRecord, position, "the resource cannot be written as JSON again", resource)
	}
	return true, r.out.Record(record, position)
}

func (r *reader) request(ctx context.Context, path string, q url.Values) (*http.Response, error) {
	address := r.config.URL + path
	if len(q) > 0 {
		address += "?" + q.Encode()
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, sdk.Errorf(sdk.ClassConfig, "url is not an address")
	}
	request.Header.Set("Accept", "application/scim+json, application/json")
	return r.session.HTTP.Do(request)
}

// get reads one page.
func (r *reader) get(ctx context.Context, path string, q url.Values) (list, error) {
	var page list
	response, err := r.request(ctx, path, q)
	if err != nil {
		return page, err
	}
	defer response.Body.Close()
	if response.StatusCode == http.StatusBadRequest {
		return page, badRequest(response.Body)
	}
	if err := sdk.CheckStatus(response); err != nil {
		return page, err
	}
	text, err := io.ReadAll(io.LimitReader(response.Body, maxPage+1))
	if err != nil {
		return page, fmt.Errorf("reading %s: %w", path, err)
	}
	if len(text) > maxPage {
		return page, sdk.Errorf(sdk.ClassData, "a page of %s has more than 64 MiB: set a smaller page", path)
	}
	if err := json.Unmarshal(text, &page); err != nil {
		return page, sdk.Errorf(sdk.ClassSourceBug, "the answer of %s is no list of resources: is url the base of the SCIM service?", path)
	}
	for _, schema := range page.Schemas {
		if strings.EqualFold(schema, scim.ErrorMessage) { // with status 200
			return page, sdk.Errorf(sdk.ClassSourceBug, "%s answered with a SCIM error and status 200", path)
		}
	}
	return page, nil
}

// badRequest words an answer 400 by its scimType; its detail may quote values.
func badRequest(body io.Reader) error {
	var told struct {
		Type string `json:"scimType"`
	}
	if err := json.NewDecoder(io.LimitReader(body, 64<<10)).Decode(&told); err != nil && !errors.Is(err, io.EOF) {
		return sdk.Errorf(sdk.ClassSourceBug, "the provider answered 400 Bad Request, and not in SCIM's words")
	}
	switch told.Type {
	case "expiredCursor", "invalidCursor":
		return sdk.Errorf(sdk.ClassCursorExpired, "the provider no longer knows the cursor")
	case "invalidCount":
		return sdk.Errorf(sdk.ClassConfig, "the provider does not give pages of that size: set a smaller page")
	case "invalidFilter":
		return sdk.Errorf(sdk.ClassConfig, "the provider does not understand the filter")
	}
	return sdk.Errorf(sdk.ClassSourceBug, "the provider answered 400 Bad Request")
}
