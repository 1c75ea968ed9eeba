package lrs

import (
	"bytes"
	"io"
	"mime"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/lrshub/lrshub/hub/pace"
	"github.com/lrshub/lrshub/hub/xapi"
)

// maxForm bounds a request in the alternate syntax: it is read before anybody is asked who sent it.
const maxForm = 4 << 20

// formHeaders are the form parameters that stand for headers (Communication 1.3).
var formHeaders = []string{"Authorization", "X-Experience-API-Version", "Content-Type", "Content-Length", "If-Match", "If-None-Match"}

// alternate takes requests in the alternate syntax, which 1.0.3 demands and 2.0 has no more: a POST with the method in the query and all else in a
// form, from clients that cannot send another method or headers (Communication 1.3). Other requests pass as they are.
func (f *face) alternate(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		query, err := url.ParseQuery(r.URL.RawQuery)
		if err != nil || r.Method != http.MethodPost || !query.Has("method") {
			next.ServeHTTP(w, r)
			return
		}
		_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(f.bodyTime)) // not every writer can
		memory := f.forms.share(r.Context(), network(f.auth.Address(r)))
		defer memory.giveBack()
		meant, err := unfold(w, r, f.paced(w, r, maxForm), query, memory)
		if err != nil {
			w.Header().Set("X-Experience-API-Version", xapi.V1.String())
			respond(w, err)
			return
		}
		next.ServeHTTP(w, meant)
	})
}

// network is what one stranger has: an address, or in IPv6 the network of a site (RFC 6177).
func network(a netip.Addr) netip.Prefix {
	bits := a.BitLen()
	if a.Is6() {
		bits = 64
	}
	p, _ := a.Prefix(bits) // that of the zero address is the zero one
	return p
}

// unfold makes the request that is meant.
func unfold(w http.ResponseWriter, r *http.Request, body *pace.Body, query url.Values, memory *share) (*http.Request, error) {
	method := query.Get("method")
	if len(query) > 1 || len(query["method"]) > 1 || !slices.Contains([]string{"GET", "PUT", "POST", "DELETE", "HEAD"}, method) {
		return nil, bad("a request in the alternate syntax has one method in its query, and nothing else")
	}
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || kind != "application/x-www-form-urlencoded" {
		return nil, bad("a request in the alternate syntax is a form: Content-Type must be application/x-www-form-urlencoded")
	}
	text, err := memory.read(body, maxForm, r.ContentLength, formWeight)
	if err != nil {
		return nil, arrival(w, err)
	}
	body.Arrived()
	values, err := url.ParseQuery(string(text))
	if err != nil {
		return nil, bad("the form is malformed")
	}
	meant := r.Clone(r.Context())
	meant.Method = method
	meant.Header.Set("Content-Type", "application/json")
	for _, name := range formHeaders {
		if !values.Has(name) {
			continue
		}
		if meant.Header.Set(name, values.Get(name)); len(values[name]) > 1 {
			return nil, bad("form parameter %s is given twice", name)
		}
		values.Del(name)
	}
	if version, err := xapi.ParseVersion(strings.TrimSpace(meant.Header.Get("X-Experience-API-Version"))); err == nil && version != xapi.V1 {
		return nil, bad("the alternate request syntax is of xAPI 1.0; 2.0 has it no more")
	}
	content := []byte(values.Get("content"))
	if writes := method == "PUT" || method == "POST"; writes != values.Has("content") || len(values["content"]) > 1 {
		return nil, bad("form parameter content has the body of a PUT or POST, once, and belongs to no other method")
	}
	values.Del("content")
	meant.Body, meant.ContentLength = io.NopCloser(bytes.NewReader(content)), int64(len(content))
	meant.URL.RawQuery = values.Encode()
	return meant, nil
}
