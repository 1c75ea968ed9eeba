package auth_test

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"github.com/lrshub/lrshub/hub/auth"
)

func TestParseNetworks(t *testing.T) {
	for name, test := range map[string]struct{ in, want string }{
		"none":                   {"", "[]"},
		"sorted, each once":      {"192.0.2.0/24 10.0.0.0/8 192.0.2.0/24 2001:db8::/32", "[10.0.0.0/8 192.0.2.0/24 2001:db8::/32]"},
		"an address":             {"192.0.2.7 2001:db8::1", "[192.0.2.7/32 2001:db8::1/128]"},
		"all":                    {"0.0.0.0/0 ::/0", "[0.0.0.0/0 ::/0]"},
		"a name":                 {"campus.example", "error"},
		"too long":               {"10.0.0.0/33", "error"},
		"bits beyond":            {"10.0.0.1/8", "error"},
		"IPv4 as IPv6":           {"::ffff:10.0.0.0/104", "error"},
		"IPv4 address as IPv6":   {"::ffff:10.0.0.1", "error"},
		"zone":                   {"fe80::1%eth0", "error"},
		"more than there may be": {strings.Repeat("10.0.0.1 ", 65), "error"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := auth.ParseNetworks(strings.Fields(test.in))
			text := "error"
			if err == nil {
				parts := make([]string, len(got))
				for i, p := range got {
					parts[i] = p.String()
				}
				text = "[" + strings.Join(parts, " ") + "]"
			}
			if text != test.want {
				t.Errorf("%s, %v; want %s", text, err, test.want)
			}
		})
	}
}

func TestAddress(t *testing.T) {
	proxies, err := auth.ParseNetworks([]string{"10.0.0.0/8", "2001:db8:ffff::/48"})
	if err != nil {
		t.Fatal(err)
	}
	behind, err := auth.New(pepper, auth.Options{Proxies: proxies})
	if err != nil {
		t.Fatal(err)
	}
	direct, err := auth.New(pepper, auth.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		clients   *auth.Clients
		remote    string
		forwarded []string
		want      string
	}{
		"connection":                         {direct, "192.0.2.7:1234", nil, "192.0.2.7"},
		"connection, IPv6":                   {direct, "[2001:db8::7]:1234", nil, "2001:db8::7"},
		"connection, IPv4 in IPv6":           {direct, "[::ffff:192.0.2.7]:1234", nil, "192.0.2.7"},
		"nobody is trusted":                  {direct, "10.0.0.1:1234", []string{"192.0.2.9"}, "10.0.0.1"},
		"not from a proxy":                   {behind, "192.0.2.7:1234", []string{"198.51.100.1"}, "192.0.2.7"},
		"from a proxy":                       {behind, "10.0.0.1:1234", []string{"192.0.2.9"}, "192.0.2.9"},
		"what the client wrote is not read":  {behind, "10.0.0.1:1234", []string{"198.51.100.1, 192.0.2.9"}, "192.0.2.9"},
		"nor in another header":              {behind, "10.0.0.1:1234", []string{"198.51.100.1", "192.0.2.9"}, "192.0.2.9"},
		"two proxies":                        {behind, "10.0.0.1:1234", []string{"198.51.100.1, 192.0.2.9,10.1.1.1"}, "192.0.2.9"},
		"two proxies, two headers":           {behind, "10.0.0.1:1234", []string{"192.0.2.9", "2001:db8:ffff::1"}, "192.0.2.9"},
		"with a port":                        {behind, "10.0.0.1:1234", []string{"192.0.2.9:4711"}, "192.0.2.9"},
		"from a proxy, IPv6":                 {behind, "10.0.0.1:1234", []string{"2001:db8::9"}, "2001:db8::9"},
		"the proxy itself":                   {behind, "10.0.0.1:1234", nil, "10.0.0.1"},
		"proxies only":                       {behind, "10.0.0.1:1234", []string{"10.0.0.3, 10.0.0.2"}, "10.0.0.3"},
		"unreadable":                         {behind, "10.0.0.1:1234", []string{"192.0.2.9, unknown"}, "invalid IP"},
		"empty":                              {behind, "10.0.0.1:1234", []string{""}, "invalid IP"},
		"unreadable beyond what is believed": {behind, "10.0.0.1:1234", []string{"unknown, 192.0.2.9"}, "192.0.2.9"},
		"a socket":                           {behind, "@", []string{"192.0.2.9"}, "invalid IP"},
	} {
		t.Run(name, func(t *testing.T) {
			r := httptest.NewRequest(http.MethodGet, "/xapi/statements", nil)
			r.RemoteAddr, r.Header["X-Forwarded-For"] = test.remote, test.forwarded
			if got := test.clients.Address(r); got.String() != test.want {
				t.Errorf("%s, want %s", got, test.want)
			}
		})
	}
	if (netip.Addr{}).String() != "invalid IP" {
		t.Error("the table means another address")
	}
}
