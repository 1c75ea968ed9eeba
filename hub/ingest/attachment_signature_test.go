package ingest_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"math/big"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/uuid"

	"github.com/lrshub/lrshub/hub/xapi"
)

// sign makes a JWS in the compact form. x5c, if not nil, goes into the header as it is.
func sign(t *testing.T, algorithm jose.SignatureAlgorithm, key any, payload string, x5c any) string {
	t.Helper()
	o := &jose.SignerOptions{}
	if x5c != nil {
		o.WithHeader("x5c", x5c)
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: algorithm, Key: key}, o)
	if err != nil {
		t.Fatal(err)
	}
	signed, err := signer.Sign([]byte(payload))
	if err != nil {
		t.Fatal(err)
	}
	compact, err := signed.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return compact
}

func certificate(t *testing.T, public, private any) string {
	t.Helper()
	template := &x509.Certificate{SerialNumber: big.NewInt(1)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, public, private)
	if err != nil {
		t.Fatal(err)
	}
	return base64.StdEncoding.EncodeToString(der)
}

func signature(content string) string {
	return strings.Replace(strings.Replace(attached(sha2(content), len(content), ""), "https://school.example/usage", xapi.SignatureUsage, 1), "text/plain", xapi.SignatureType, 1)
}

func TestSignatures(t *testing.T) {
	w := newWorld(t)
	_, dir := w.withBlobs()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	other, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	curve, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	id := uuid.New()
	payload := said(id, "ann", `,"result":{"duration":"PT1.23S"}`)
	ours, theirs, elliptic := []string{certificate(t, &key.PublicKey, key)}, []string{certificate(t, &other.PublicKey, other)}, []string{certificate(t, &curve.PublicKey, curve)}
	good := sign(t, jose.RS256, key, payload, nil)
	flat := strings.Split(good, ".")
	serialised, err := json.Marshal(map[string]string{"protected": flat[0], "payload": flat[1], "signature": flat[2]})
	if err != nil {
		t.Fatal(err)
	}
	with := func(st, content string) string { return strings.TrimSuffix(st, "}") + with(signature(content)) + "}" }
	long := payload[:len(payload)-1] + `,"context":{"extensions":{"https://x.example/e":"` + strings.Repeat("x", 900_000) + `"}}}`
	for name, c := range map[string]struct {
		statement, content, says string // says "": it is good
	}{
		"RS256":                         {payload, good, ""},
		"RS384":                         {payload, sign(t, jose.RS384, key, payload, nil), ""},
		"RS512":                         {payload, sign(t, jose.RS512, key, payload, nil), ""},
		"its certificate":               {payload, sign(t, jose.RS256, key, payload, ours), ""},
		"the first certificate counts":  {payload, sign(t, jose.RS256, key, payload, append(ours[:1:1], theirs...)), ""},
		"a finer duration":              {strings.Replace(payload, "1.23S", "1.239S", 1), good, ""},
		"larger than a row":             {payload, sign(t, jose.RS256, key, payload[:len(payload)-1]+strings.Repeat(" ", 100_000)+"}", ours), ""},
		"a coarser duration":            {strings.Replace(payload, "1.23S", "1.2S", 1), good, "is of another statement"},
		"of another statement":          {said(id, "bob", ""), good, "is of another statement"},
		"of another id":                 {strings.Replace(payload, id.String(), uuid.NewString(), 1), good, "is of another statement"},
		"its certificate is another's":  {payload, sign(t, jose.RS256, key, payload, theirs), "was not made with the key of its first certificate"},
		"its certificate comes second":  {payload, sign(t, jose.RS256, key, payload, append(theirs[:1:1], ours...)), "was not made with the key of its first certificate"},
		"a certificate of another kind": {payload, sign(t, jose.RS256, key, payload, elliptic), "has an x5c whose first entry is no"},
		"no certificate at all":         {payload, sign(t, jose.RS256, key, payload, []string{}), "has an x5c whose first entry is no"},
		"a payload that is no JSON":     {payload, sign(t, jose.RS256, key, strings.Replace(payload, `"`, "'", 1), nil), "has a payload that is no valid statement"},
		"a payload that is empty":       {payload, sign(t, jose.RS256, key, "", nil), ""},
		"a payload of two statements":   {payload, sign(t, jose.RS256, key, "["+payload+","+payload+"]", nil), "has a payload that is no valid statement"},
		"HS256":                         {payload, sign(t, jose.HS256, make([]byte, 32), payload, nil), "is no JSON Web Signature"},
		"PS256":                         {payload, sign(t, jose.PS256, key, payload, nil), "is no JSON Web Signature"},
		"ES256":                         {payload, sign(t, jose.ES256, curve, payload, nil), "is no JSON Web Signature"},
		"none": {payload, base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none"}`)) + "." + base64.RawURLEncoding.EncodeToString([]byte(payload)) + ".",
			"is no JSON Web Signature"},
		"JSON serialisation":            {payload, string(serialised), "is no JSON Web Signature"},
		"no JWS":                        {payload, "signed by me", "is no JSON Web Signature"},
		"nothing":                       {payload, "", "is no JSON Web Signature"},
		"altered, with its certificate": {payload, altered(sign(t, jose.RS256, key, payload, ours)), "was not made with the key of its first certificate"},
		"too large":                     {payload, sign(t, jose.RS256, key, long, nil), "more than 1048576 bytes"},
	} {
		if name == "a payload that is empty" {
			c.says = "signature of statement 0 " // whichever of its faults is found
		}
		_, err := w.deliver(one, []string{with(c.statement, c.content)}, c.content)
		switch {
		case c.says != "":
			wantRefused(t, name, err, c.says)
		case err != nil:
			t.Errorf("%s: %v", name, err)
		}
		if _, err := w.owner.Exec("DELETE FROM statement; DELETE FROM statement_attachment"); err != nil {
			t.Fatal(err)
		}
	}
	equal(t, "blobs, of the one that was larger than a row", blobs(t, dir), 1)
}

// altered changes a signature's own part.
func altered(compact string) string {
	at := strings.LastIndex(compact, ".") + 20
	c := byte('A')
	if compact[at] == c {
		c = 'B'
	}
	return compact[:at] + string(c) + compact[at+1:]
}

// One signature cannot sign two statements, and what only looks like one in a sub-statement signs nothing.
func TestSignatureOfTwo(t *testing.T) {
	w := newWorld(t)
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	payload := said(uuid.New(), "ann", "")
	content := sign(t, jose.RS256, key, payload, nil)
	signed := strings.TrimSuffix(payload, "}") + with(signature(content)) + "}"
	_, err = w.deliver(one, []string{signed, said(uuid.New(), "bob", with(signature(content)))}, content)
	wantRefused(t, "two statements", err, "the signature of statement 1 is of another statement")
	sub := `{"actor":{"mbox":"mailto:ann@example.org"},"verb":{"id":"https://verbs.example/met"},"object":{"objectType":"SubStatement","actor":{"mbox":"mailto:bob@example.org"},` +
		`"verb":{"id":"https://verbs.example/met"},"object":{"id":"https://x.example/a"}` + with(signature("x")) + `}}`
	w.mustDeliver([]string{sub}, "x")
}
