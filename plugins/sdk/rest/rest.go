// Package rest is for connectors whose source is a REST API. Most of one is a value, Connector: where the API is, and for each stream its
// path, where the records stand in an answer, how it is paged and how it is asked for what is new. Start reading at Connector and Stream;
// paging.go has the kinds of paging, window.go how a stream goes on from run to run without a gap.
//
// What no value can say goes into hooks (Stream.Convert, Stream.Parts, Connector.Fault), or is written by hand with the same parts:
// Client for requests and their errors, JSON and XML for answers of any size, Marks for a small value of each of many things in one cursor.
package rest

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/lrshub/lrshub/plugins/contract"
	"github.com/lrshub/lrshub/plugins/sdk"
)

// Connector is a whole connector: the value has the methods of sdk.Connector. Embed it in a type of your own to add abilities.
type Connector struct {
	// About holds what is true of every configuration: name, version, summary, schema, how requests are signed, rate. Hosts and streams are
	// filled in; an Auth that names no host is for that of Base.
	About sdk.Description
	// Base is where the API is: "{url}/api/v2", "https://{company}.example.com". A name in braces is a property of the configuration.
	Base string
	// Header is sent with each request, for instance Accept; nil: Accept: application/json.
	Header http.Header
	// Fault looks at every answer and gives the error that it is, if it is one: for APIs that answer errors with 200, or limits with 403. See Answer.
	Fault func(Answer) error
	// Configure refuses a configuration that cannot work, beyond what its schema says, and may add to the description. nil: the schema says all.
	Configure func(config []byte, d *sdk.Description) error
	Streams   []Stream
}

// Stream is one kind of record, and how the API is asked for it.
type Stream struct {
	sdk.Stream
	// Path is below Base, with whatever query all requests have: "/courses/{part}/grades?state=all&account={account}". Names in braces are properties of
	// the configuration; {part} is that of Parts. A query parameter whose property is not configured is left out.
	Path string
	// Records is where in an answer the list of records is, a dotted path: "data.items". "": the answer is the list. "employees.*": the members of that
	// object, each as {"key": its name, "value": ...}. A list that is null is empty; one that is not there is an error.
	Records string
	// Decode reads answers that are not JSON (see XML); then Records is not used.
	Decode Decode
	Paging Paging  // nil: one answer holds everything
	Window *Window // nil: what is new cannot be asked for by time
	// Parts tells the ids of what the stream is read by, such as courses: each part has the whole of Path, Paging and Window for itself.
	// Ids are told again in each run, in any order, and hold no personal data. See Part.
	Parts func(ctx context.Context, c *Client, each func(id string) error) error
	// PartAs is the name of a member that each element gets, with its part's id, where the API does not repeat it: an id of digits becomes a number. "": none.
	PartAs string
	// Convert makes records of one element of the list, as many as it likes; nil: the element is the record.
	Convert func(element []byte, each func(record []byte) error) error
	// Raw has Convert given what is not UTF-8, too; else that is turned aside, once for each element.
	Raw bool
	// Fetch is a Convert for lists that only name what changed: it asks for the record. A page's whole list is held meanwhile, at most 64 MiB.
	Fetch func(ctx context.Context, c *Client, element []byte, each func(record []byte) error) error
	// Gone says that a record tells of its own deletion (streams with deletes "tombstone"); the record's key is all that is needed then. nil: none does.
	Gone func(record []byte) bool
	// Unchecked leaves the stream out of Check: not every source has it, or lets everyone read it.
	Unchecked bool
}

// Describe gives About with hosts and streams.
func (c Connector) Describe(config []byte) (sdk.Description, error) {
	d := c.About
	d.Auth = append([]sdk.Auth(nil), d.Auth...)
	d.Hosts = append([]string(nil), d.Hosts...)
	for _, s := range c.Streams {
		if _, lasts := s.Paging.(steady); s.Mode == contract.Incremental && s.Window == nil && !lasts {
			return d, sdk.Errorf(sdk.ClassSourceBug, "stream %s is incremental, but has neither a Window nor a Paging that goes on from its last place", s.Name)
		}
		s.Stream.Ranges = s.Stream.Mode == contract.Incremental && s.Window != nil
		d.Streams = append(d.Streams, s.Stream)
	}
	if config == nil {
		d.Auth, d.Hosts = nil, nil // they are known once the base is
		return d, nil
	}
	base, err := c.base(config)
	if err != nil {
		return d, err
	}
	host := base.Scheme + "://" + base.Host
	d.Hosts = append([]string{host}, d.Hosts...)
	for i := range d.Auth {
		if d.Auth[i].Host == "" {
			d.Auth[i].Host = host
		}
	}
	if c.Configure != nil {
		err = c.Configure(config, &d)
	}
	return d, err
}

// Check asks for the first page of every stream and names all that is wrong.
func (c Connector) Check(ctx context.Context, s *sdk.Session) error {
	client, err := c.Client(s)
	if err != nil {
		return err
	}
	var wrong *sdk.Error
	for i := range c.Streams {
		if c.Streams[i].Unchecked {
			continue
		}
		err := newReader(client, &c.Streams[i], sdk.NewOutput(sdk.Request{}, func(sdk.Event) error { return errEnough })).try(ctx)
		var known *sdk.Error
		switch {
		case err == nil:
		case !errors.As(err, &known):
			return err
		case wrong == nil:
			wrong = &sdk.Error{Class: known.Class, RetryAfter: known.RetryAfter, Message: "stream " + c.Streams[i].Name + ": " + known.Message, Err: err}
		default:
			wrong.Message += "\nstream " + c.Streams[i].Name + ": " + known.Message
		}
	}
	if wrong != nil {
		return wrong
	}
	return nil
}

// errEnough ends a try after its first record.
var errEnough = errors.New("enough")

// Read brings a stream's records.
func (c Connector) Read(ctx context.Context, s *sdk.Session, r sdk.Request, out *sdk.Output) error {
	client, err := c.Client(s)
	if err != nil {
		return err
	}
	client.since, client.until = r.Since, r.Until
	for i := range c.Streams {
		if c.Streams[i].Name == r.Stream {
			return newReader(client, &c.Streams[i], out).run(ctx, r)
		}
	}
	return sdk.Errorf(sdk.ClassConfig, "there is no stream %q", r.Stream)
}

// Client makes a client for a session, for what an author asks for by hand.
func (c Connector) Client(s *sdk.Session) (*Client, error) {
	base, err := c.base(s.Config)
	if err != nil {
		return nil, err
	}
	client := &Client{HTTP: s.HTTP, Base: base, Header: c.Header, Fault: c.Fault, Now: s.Now, config: properties(s.Config)}
	for _, a := range c.About.Auth {
		if a.Kind == contract.AuthQuery {
			client.signs = append(client.signs, a.Name)
		}
	}
	return client, nil
}

func (c Connector) base(config []byte) (*url.URL, error) {
	text, err := expand(c.Base, properties(config), true)
	if err != nil {
		return nil, err
	}
	base, err := url.Parse(strings.TrimRight(text, "/"))
	if err != nil || base.Host == "" || base.User != nil || base.RawQuery != "" || base.Fragment != "" || base.Scheme != "https" && base.Scheme != "http" {
		return nil, sdk.Errorf(sdk.ClassConfig, "the configuration does not give an address: %s must become one like https://lms.example.org, without user, query and fragment", c.Base)
	}
	return base, nil
}

// Decode reads an answer: each is given every record, as JSON, valid until it returns; what it gives as an error comes back. Values are what else
// the answer says, by dotted path, as text.
type Decode func(body io.Reader, each func(record []byte) error) (Values, error)

// Values are the single values of an answer that stand outside of its records, by dotted path: "meta.next".
type Values map[string]string
