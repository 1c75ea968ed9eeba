package rest

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/lrshub/lrshub/plugins/sdk"
)

// Client asks an API and turns answers that are errors into an *sdk.Error. Signing, pace, repeats and timeouts are the hub's.
type Client struct {
	HTTP   *http.Client
	Base   *url.URL
	Header http.Header
	Fault  func(Answer) error
	Now    func() time.Time

	config map[string]string // single values of the configuration
	signs  []string          // query parameters that the hub adds

	since, until time.Time // the range that is to be read; zero: there is none
}

// Answer is what Fault looks at.
type Answer struct {
	Status int
	Header http.Header
	Start  []byte // the body's first bytes, at most 4 KiB. They may hold personal data: no part of them belongs into an error
}

// Is says whether the body begins as a JSON object that has a member of this name in its first 4 KiB and at its top; text gives its value, if that is a single one.
func (a Answer) Is(name string) (text string, there bool) {
	values, _ := readTop(a.Start)
	text, there = values[name]
	return text, there
}

const (
	peeked     = 4 << 10
	wholeBytes = 16 << 20
	// defaultPause is how long a source is left alone that says "too much" without saying for how long.
	defaultPause = time.Minute
)

// Property gives a single value of the configuration as text, "" if it is not there.
func (c *Client) Property(name string) string { return c.config[name] }

// Get asks for a path below the base. Close the answer's body.
func (c *Client) Get(ctx context.Context, path string, query url.Values) (*http.Response, error) {
	r, err := c.Request(ctx, path)
	if err != nil {
		return nil, err
	}
	if len(query) > 0 {
		merged := r.URL.Query()
		for name, values := range query {
			merged[name] = values
		}
		r.URL.RawQuery = merged.Encode()
	}
	return c.Do(r)
}

// JSON asks for a path below the base and decodes the whole answer, of 16 MiB at most, into v.
func (c *Client) JSON(ctx context.Context, path string, query url.Values, v any) error {
	response, err := c.Get(ctx, path, query)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, wholeBytes+1))
	if err != nil {
		return broken(err)
	}
	if len(body) > wholeBytes {
		return sdk.Errorf(sdk.ClassSourceBug, "the answer is larger than %d bytes", wholeBytes)
	}
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	if err := d.Decode(v); err != nil {
		return sdk.Errorf(sdk.ClassSourceBug, "the answer is not the JSON that was expected")
	}
	return nil
}

// Request makes a GET request for a path below the base; the path may have a query. Names in braces are properties of the configuration.
func (c *Client) Request(ctx context.Context, path string) (*http.Request, error) {
	path, text, _ := strings.Cut(path, "?")
	path, err := expand(path, c.config, false)
	if err != nil {
		return nil, err
	}
	query, err := expandQuery(text, c.config)
	if err != nil {
		return nil, err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, c.Base.String()+path, nil)
	if err != nil {
		return nil, sdk.Errorf(sdk.ClassConfig, "base and path make no address")
	}
	r.URL.RawQuery = query.Encode()
	r.Header.Set("Accept", "application/json")
	for name, values := range c.Header {
		r.Header[name] = values
	}
	return r, nil
}

// Do sends a request. An answer that is an error, by its status or by Fault, becomes an *sdk.Error; else close its body.
func (c *Client) Do(r *http.Request) (*http.Response, error) {
	response, err := c.HTTP.Do(r)
	if err != nil {
		return nil, unwrapped(err)
	}
	body := bufio.NewReaderSize(response.Body, peeked)
	start, err := body.Peek(peeked)
	if err != nil && err != io.EOF {
		response.Body.Close()
		return nil, broken(err)
	}
	if err := c.fault(Answer{Status: response.StatusCode, Header: response.Header, Start: start}, response); err != nil {
		response.Body.Close()
		return nil, err
	}
	response.Body = struct {
		io.Reader
		io.Closer
	}{body, response.Body}
	return response, nil
}

// fault says what error an answer is.
func (c *Client) fault(a Answer, response *http.Response) error {
	if c.Fault != nil {
		if err := c.Fault(a); err != nil {
			return err
		}
	}
	err := sdk.CheckStatus(response)
	var known *sdk.Error
	if errors.As(err, &known) {
		known.Err = Status(a.Status)
	}
	switch {
	case err == nil && strings.HasPrefix(c.accepted(), "application/json") && isHTML(a):
		return sdk.Errorf(sdk.ClassConfig, "the source answered with a web page instead of JSON: is the address that of its API, and are the credentials those of an API client?")
	case errors.As(err, &known) && a.limited():
		return c.busy(a.Header)
	case errors.As(err, &known) && known.Class == sdk.ClassTransient && known.RetryAfter == 0:
		known.RetryAfter = sdk.RetryAfter(a.Header, c.now())
	}
	return err
}

func (c *Client) busy(h http.Header) error {
	pause := sdk.RetryAfter(h, c.now())
	if pause == 0 {
		pause = defaultPause
	}
	return &sdk.Error{Class: sdk.ClassRateLimit, RetryAfter: pause, Message: "the source asks for a pause: too many requests"}
}

func (c *Client) accepted() string {
	if accept := c.Header.Get("Accept"); accept != "" {
		return accept
	}
	return "application/json"
}

func (c *Client) now() time.Time {
	if !c.until.IsZero() {
		return c.until
	}
	if c.Now == nil {
		return time.Now().UTC()
	}
	return c.Now()
}

// Status is what an *sdk.Error of an answer wraps: its HTTP status.
type Status int

func (s Status) Error() string { return "HTTP status " + strconv.Itoa(int(s)) }

// limited says whether a refusal means "too many requests": by its status, or as some sources say it with 403 or 400.
func (a Answer) limited() bool {
	switch a.Status {
	case http.StatusTooManyRequests:
		return true
	case http.StatusForbidden, http.StatusBadRequest:
		left, err := strconv.ParseFloat(a.Header.Get("X-Rate-Limit-Remaining"), 64)
		return err == nil && left <= 0 || a.Header.Get("Retry-After") != "" || bytes.Contains(bytes.ToLower(a.Start), []byte("rate limit"))
	}
	return false
}

func isHTML(a Answer) bool {
	kind, _, _ := mime.ParseMediaType(a.Header.Get("Content-Type"))
	return kind == "text/html" && bytes.HasPrefix(bytes.TrimSpace(a.Start), []byte("<"))
}

// unwrapped gives the *sdk.Error below the *url.Error of a client: the latter holds the address with its query.
func unwrapped(err error) error {
	var known *sdk.Error
	if errors.As(err, &known) {
		return known
	}
	var addressed *url.Error
	if errors.As(err, &addressed) && !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded) {
		return &sdk.Error{Class: sdk.ClassTransient, Message: "the source cannot be reached", Err: addressed.Err}
	}
	return err
}

// broken is an answer that ended too early.
func broken(err error) error {
	var known *sdk.Error
	if errors.As(err, &known) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return &sdk.Error{Class: sdk.ClassTransient, Message: "the source's answer broke off", Err: err}
}
