package xapi

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"strconv"
	"time"

	"github.com/lrshub/lrshub/plugins/sdk"
)

// statement is what is looked at of a statement.
type statement struct {
	ID     string
	Stored time.Time
	Verb   struct{ ID string }
	Object struct {
		Type string `json:"objectType"`
		ID   string
	}
	Attachments []struct {
		SHA2    string
		FileURL string `json:"fileUrl"`
	}
}

const verbVoided = "http://adlnet.gov/expapi/verbs/voided"

// maxEmpty is how many pages without anything new may follow each other: beyond that the store goes round in circles.
const maxEmpty = 1000

// Read brings the statements that were stored after the cursor, in the order of their storing. What the store voided it no longer lists: each
// voided statement is fetched and brought before the statement that voids it.
func (Connector) Read(ctx context.Context, s *sdk.Session, r sdk.Request, out *sdk.Output) error {
	c, err := parseConfig(s.Config)
	if err != nil {
		return err
	}
	if r.Stream != streamName {
		return sdk.Errorf(sdk.ClassConfig, "xapi: there is no stream %q; there is %q", r.Stream, streamName)
	}
	text := r.Cursor
	if r.Full {
		text = nil
	}
	rd := &reader{client: client{c: c, s: s}, out: out, at: start(text, c.since), cursor: string(text), limit: r.MaxRecord}
	if rd.limit <= 0 {
		rd.limit = sdk.MaxRecord
	}
	next := c.query(rd.at.since, c.Page)
	if r.PageRecords > 0 {
		next = c.query(rd.at.since, min(c.Page, r.PageRecords))
	}
	for empty, page := 0, 1; next != nil; page++ {
		got, err := rd.page(ctx, next)
		if err != nil {
			return err
		}
		brought, err := rd.bring(ctx, got, page)
		if err != nil {
			return err
		}
		if empty++; brought > 0 {
			empty = 0
		}
		if empty > maxEmpty {
			return sdk.Errorf(sdk.ClassSourceBug, "xapi: the store gave %d pages in a row without a statement that it had not given before", maxEmpty)
		}
		if next = got.more; next == nil {
			rd.at.end()
		}
		if err := rd.checkpoint(got.consistent); err != nil {
			return err
		}
	}
	return nil
}

// query asks for statements stored after an instant, oldest first.
func (c *config) query(since time.Time, limit int) *url.URL {
	u := c.base.JoinPath("statements")
	q := url.Values{"ascending": {"true"}, "format": {"exact"}, "limit": {strconv.Itoa(limit)}}
	if !since.IsZero() {
		q.Set("since", since.UTC().Format(time.RFC3339Nano))
	}
	u.RawQuery = q.Encode()
	return u
}

type reader struct {
	client
	out    *sdk.Output
	at     *position
	cursor string // as last given to the hub
	limit  int    // bytes of a record
}

// bring brings the statements of a page that are new, and tells how many.
func (rd *reader) bring(ctx context.Context, got *page, number int) (brought int, err error) {
	for i, raw := range got.statements {
		where := fmt.Sprintf("page %d of this run, statement %d", number, i+1)
		var st statement
		if err := json.Unmarshal(raw, &st); err != nil || st.ID == "" || st.Stored.IsZero() {
			if err := rd.out.Bad(sdk.BadRecord, where, "what the store gives as a statement has no id, no stored, or members of other types than xAPI's", raw); err != nil {
				return brought, err
			}
			continue
		}
		if !rd.at.meet(st.ID, st.Stored) {
			continue
		}
		brought++
		if st.Verb.ID == verbVoided && st.Object.Type == "StatementRef" {
			if err := rd.voided(ctx, st.Object.ID, where, got.version); err != nil {
				return brought, err
			}
		}
		if err := rd.one(ctx, raw, st, where, got.version, "statementId"); err != nil {
			return brought, err
		}
	}
	return brought, nil
}

// one brings one statement, with the contents of its attachments if that is asked for. by is how the store finds it.
func (rd *reader) one(ctx context.Context, raw json.RawMessage, st statement, where, version, by string) error {
	record := sdk.StatementRecord{ID: st.ID, Version: version, Statement: raw}
	if rd.c.Attachments && len(st.Attachments) > 0 {
		var err error
		record.Attachments, err = rd.contents(ctx, st, by, rd.limit)
		if err == errTooLarge {
			return rd.out.Bad(sdk.TooLarge, where, fmt.Sprintf("the statement with its attachments has more than %d bytes; import it with lrshub statement import", rd.limit), nil)
		}
		if err != nil {
			return err
		}
	}
	text, err := json.Marshal(record)
	if err != nil {
		return rd.out.Bad(sdk.BadRecord, where, "the statement is not JSON", raw)
	}
	return rd.out.Record(text, where)
}

// voided brings a statement that was voided.
func (rd *reader) voided(ctx context.Context, id, where, version string) error {
	raw, err := rd.single(ctx, "voidedStatementId", id)
	if raw == nil || err != nil {
		return err // one that the store never had, or has erased
	}
	var st statement
	if json.Unmarshal(raw, &st) != nil || st.ID == "" {
		return rd.out.Bad(sdk.BadRecord, where+", what it voids", "what the store gives as a statement is none", raw)
	}
	return rd.one(ctx, raw, st, where+", what it voids", version, "voidedStatementId")
}

// checkpoint gives the cursor if it says something new.
func (rd *reader) checkpoint(consistent time.Time) error {
	text := rd.at.encode(consistent)
	if string(text) == rd.cursor {
		rd.out.Progress(0, 0)
		return nil
	}
	rd.cursor = string(text)
	return rd.out.Checkpoint(text)
}
