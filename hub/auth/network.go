package auth

import (
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// maxNetworks bounds how many networks a client has.
const maxNetworks = 64

// ParseNetworks reads networks: CIDRs (10.1.0.0/16, 2001:db8::/32), or single addresses. It gives them sorted, each once; its error says which
// is wrong, and how.
func ParseNetworks(texts []string) ([]netip.Prefix, error) {
	if len(texts) > maxNetworks {
		return nil, fmt.Errorf("%d networks: at most %d", len(texts), maxNetworks)
	}
	networks := make([]netip.Prefix, 0, len(texts))
	for _, text := range texts {
		p, err := netip.ParsePrefix(text)
		if one, e := netip.ParseAddr(text); e == nil && one.Zone() == "" {
			p, err = netip.PrefixFrom(one, one.BitLen()), nil
		}
		switch {
		case err != nil:
			return nil, fmt.Errorf("%q is no network: write it as 10.1.0.0/16 or 2001:db8::/32", text)
		case p.Addr().Is4In6():
			return nil, fmt.Errorf("%s is IPv4 written as IPv6: write it as IPv4", p)
		case p != p.Masked():
			return nil, fmt.Errorf("%s has bits beyond its length: is %s meant, or %s alone?", p, p.Masked(), p.Addr())
		}
		networks = append(networks, p)
	}
	slices.SortFunc(networks, func(a, b netip.Prefix) int { return a.Compare(b) })
	return slices.Compact(networks), nil
}

// within tells whether an address is in one of the networks. An address that is not known is in none.
func within(networks []netip.Prefix, a netip.Addr) bool {
	return slices.ContainsFunc(networks, func(p netip.Prefix) bool { return p.Contains(a) })
}

// Address is where a request comes from: the other end of its connection, or, where that is a trusted proxy, the last in X-Forwarded-For that
// is none. What cannot be read is the zero address, which no network has.
func (c *Clients) Address(r *http.Request) netip.Addr {
	end, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	address := plain(end.Addr())
	if !within(c.proxies, address) {
		return address
	}
	headers := r.Header.Values("X-Forwarded-For")
	for _, header := range slices.Backward(headers) {
		for more := true; more; {
			at := strings.LastIndexByte(header, ',')
			one := strings.TrimSpace(header[at+1:])
			if more = at >= 0; more {
				header = header[:at]
			}
			forwarded, err := netip.ParseAddr(one)
			if withPort, e := netip.ParseAddrPort(one); e == nil { // some proxies write it
				forwarded, err = withPort.Addr(), nil
			}
			if err != nil {
				return netip.Addr{}
			}
			if address = plain(forwarded); !within(c.proxies, address) {
				return address
			}
		}
	}
	return address
}

// plain is an address without what is no part of it: IPv4 in IPv6, a zone.
func plain(a netip.Addr) netip.Addr { return a.Unmap().WithZone("") }
