package sdk_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/lrshub/lrshub/plugins/contract"
	"github.com/lrshub/lrshub/plugins/sdk"
	"github.com/lrshub/lrshub/plugins/sdk/sdktest"
)

// script is a connector whose Read is a function.
type script func(ctx context.Context, s *sdk.Session, r sdk.Request, out *sdk.Output) error

func (script) Describe([]byte) (sdk.Description, error)  { return sdk.Description{}, nil }
func (script) Check(context.Context, *sdk.Session) error { return nil }
func (c script) Read(ctx context.Context, s *sdk.Session, r sdk.Request, out *sdk.Output) error {
	return c(ctx, s, r, out)
}

func read(t *testing.T, r sdk.Request, c script) (*sdktest.Result, error) {
	t.Helper()
	return sdktest.Read(t.Context(), c, sdktest.Session(`{}`, nil, nil), r)
}

func TestOutputTurnsBadRecordsAside(t *testing.T) {
	got, err := read(t, sdk.Request{MaxRecord: 20}, func(_ context.Context, _ *sdk.Session, _ sdk.Request, out *sdk.Output) error {
		for _, record := range []string{"{}", " {\"a\":1}\r\n", "", "[]", "{", "null", `{"a":"` + strings.Repeat("x", 20) + `"}`} {
			if err := out.Record([]byte(record), "here"); err != nil {
				return err
			}
		}
		return out.Bad("odd", strings.Repeat("é", 400), "why\xff", make([]byte, sdk.MaxRaw+1))
	})
	if err != nil || len(got.Records) != 2 || len(got.Bad) != 6 {
		t.Fatalf("%d records, %d bad, %v", len(got.Records), len(got.Bad), err)
	}
	for i, want := range []string{contract.CodeUnfit, contract.CodeUnfit, contract.CodeUnfit, contract.CodeUnfit, sdk.TooLarge, "odd"} {
		if got.Bad[i].Code != want {
			t.Errorf("bad %d is %s, want %s", i, got.Bad[i].Code, want)
		}
	}
	if last := got.Bad[5]; len(last.JSON) != sdk.MaxRaw || len(last.Position) > sdk.MaxPosition+3 || last.Reason != "why\uFFFD" {
		t.Errorf("%d bytes, position %d, reason %q", len(last.JSON), len(last.Position), last.Reason)
	}
	if got.Bad[4].JSON != nil {
		t.Error("a record that is too large is kept")
	}
}

func TestOutputDue(t *testing.T) {
	for name, test := range map[string]struct {
		request sdk.Request
		record  string
		want    int
	}{
		"as the request says": {sdk.Request{PageRecords: 7}, `{}`, 7},
		"by default":          {sdk.Request{}, `{}`, 1000},
		"by bytes":            {sdk.Request{}, `{"a":"` + strings.Repeat("x", 1<<20) + `"}`, 4},
	} {
		_, err := read(t, test.request, func(_ context.Context, _ *sdk.Session, _ sdk.Request, out *sdk.Output) error {
			for page := range 2 {
				n := 0
				for ; !out.Due(); n++ {
					if err := out.Record([]byte(test.record), ""); err != nil {
						return err
					}
				}
				if n != test.want {
					t.Errorf("%s: page %d is due after %d records, want %d", name, page, n, test.want)
				}
				if err := out.Checkpoint(nil); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	}
}

func TestOutputRefuses(t *testing.T) {
	_, err := read(t, sdk.Request{}, func(_ context.Context, _ *sdk.Session, _ sdk.Request, out *sdk.Output) error {
		var known *sdk.Error
		if err := out.Checkpoint(make([]byte, sdk.MaxCursor+1)); !errors.As(err, &known) || known.Class != sdk.ClassSourceBug {
			t.Errorf("a large cursor: %v", err)
		}
		if err := out.Delete([]any{nil}); !errors.As(err, &known) || known.Class != sdk.ClassSourceBug {
			t.Errorf("a key of null: %v", err)
		}
		return out.Delete([]any{"a", 1})
	})
	if err != nil {
		t.Error(err)
	}
}

func TestOutputStaysBroken(t *testing.T) {
	stop := errors.New("stop")
	calls := 0
	_, err := sdktest.ReadUntil(t.Context(), script(func(_ context.Context, _ *sdk.Session, _ sdk.Request, out *sdk.Output) error {
		out.Progress(1, 2)
		if err := out.Record([]byte(`{}`), ""); err != stop {
			t.Errorf("after a failed Progress: %v", err)
		}
		return out.SnapshotComplete()
	}), sdktest.Session(`{}`, nil, nil), sdk.Request{}, func(sdk.Event) error {
		calls++
		return stop
	})
	if err != stop || calls != 1 {
		t.Errorf("%v after %d calls", err, calls)
	}
}

func TestCheckStatus(t *testing.T) {
	for status, want := range map[int]sdk.Class{200: "", 204: "", 301: sdk.ClassSourceBug, 400: sdk.ClassSourceBug, 401: sdk.ClassAuth,
		403: sdk.ClassPermission, 404: sdk.ClassConfig, 429: sdk.ClassRateLimit, 500: sdk.ClassTransient, 503: sdk.ClassTransient} {
		err := sdk.CheckStatus(&http.Response{StatusCode: status, Header: http.Header{"Retry-After": {"30"}}})
		var known *sdk.Error
		if want == "" && err != nil || want != "" && (!errors.As(err, &known) || known.Class != want) {
			t.Errorf("%d: %v, want %s", status, err, want)
		}
		if status >= 429 && known.RetryAfter != 30*time.Second {
			t.Errorf("%d: again after %s", status, known.RetryAfter)
		}
	}
}

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for text, want := range map[string]time.Duration{
		"": 0, "0": 0, "-5": 0, "soon": 0, "90": 90 * time.Second, "999999999": 24 * time.Hour, "99999999999999999999": 0,
		"Fri, 02 Jan 2026 03:05:05 GMT": time.Minute, "Fri, 02 Jan 2026 03:00:00 GMT": 0, "Fri, 02 Jan 2099 03:00:00 GMT": 24 * time.Hour,
	} {
		if got := sdk.RetryAfter(http.Header{"Retry-After": {text}}, now); got != want {
			t.Errorf("%q: %s, want %s", text, got, want)
		}
	}
}
