package sdk

import (
	"crypto/hmac"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"net/http"
	"testing"
	"time"
)

func TestSignature(t *testing.T) {
	now := time.Date(2026, 3, 29, 1, 30, 0, 0, time.UTC)
	code := func(secret, text string) []byte {
		mac := hmac.New(sha256.New, []byte(secret))
		mac.Write([]byte(text))
		return mac.Sum(nil)
	}
	hexed := hex.EncodeToString(code("s3cret", "body"))
	stamped := hex.EncodeToString(code("s3cret", "1774747800.body")) // 30 minutes before the clocks change in Europe
	sha1mac := hmac.New(sha1.New, []byte("s3cret"))
	sha1mac.Write([]byte("body"))
	for name, test := range map[string]struct {
		signature Signature
		header    http.Header
		secrets   []string
		good      bool
	}{
		"hex":               {Signature{Header: "X-S"}, http.Header{"X-S": {hexed}}, []string{"s3cret"}, true},
		"base64":            {Signature{Header: "X-S"}, http.Header{"X-S": {base64.StdEncoding.EncodeToString(code("s3cret", "body"))}}, []string{"s3cret"}, true},
		"SHA-1":             {Signature{Header: "X-S", Hash: sha1.New}, http.Header{"X-S": {hex.EncodeToString(sha1mac.Sum(nil))}}, []string{"s3cret"}, true},
		"prefix":            {Signature{Header: "X-S", Prefix: "sha256="}, http.Header{"X-S": {"sha256=" + hexed}}, []string{"s3cret"}, true},
		"no prefix":         {Signature{Header: "X-S", Prefix: "sha256="}, http.Header{"X-S": {hexed}}, []string{"s3cret"}, false},
		"several":           {Signature{Header: "X-S", Prefix: "v1="}, http.Header{"X-S": {"v0=00,v1=00,v1=" + hexed}}, []string{"s3cret"}, true},
		"several in words":  {Signature{Header: "X-S", Prefix: "v1,"}, http.Header{"X-S": {"v1,00 v1," + hexed}}, []string{"s3cret"}, true},
		"two secrets":       {Signature{Header: "X-S"}, http.Header{"X-S": {hexed}}, []string{"n3w", "s3cret"}, true},
		"wrong secret":      {Signature{Header: "X-S"}, http.Header{"X-S": {hexed}}, []string{"n3w"}, false},
		"no secret":         {Signature{Header: "X-S"}, http.Header{"X-S": {hex.EncodeToString(code("", "body"))}}, []string{""}, false},
		"empty":             {Signature{Header: "X-S"}, http.Header{"X-S": {""}}, []string{"s3cret"}, false},
		"missing":           {Signature{Header: "X-S"}, http.Header{}, []string{"s3cret"}, false},
		"stamped":           {Signature{Header: "X-S", Timestamp: "X-T"}, http.Header{"X-S": {stamped}, "X-T": {"1774747800"}}, []string{"s3cret"}, true},
		"another stamp":     {Signature{Header: "X-S", Timestamp: "X-T"}, http.Header{"X-S": {stamped}, "X-T": {"1774747801"}}, []string{"s3cret"}, false},
		"stamped long ago":  {Signature{Header: "X-S", Timestamp: "X-T", Tolerance: time.Minute}, http.Header{"X-S": {stamped}, "X-T": {"1774747000"}}, []string{"s3cret"}, false},
		"no stamp":          {Signature{Header: "X-S", Timestamp: "X-T"}, http.Header{"X-S": {stamped}}, []string{"s3cret"}, false},
		"stamped in a zone": {Signature{Header: "X-S", Timestamp: "X-T"}, http.Header{"X-S": {hex.EncodeToString(code("s3cret", "2026-03-29T02:31:00+01:00.body"))}, "X-T": {"2026-03-29T02:31:00+01:00"}}, []string{"s3cret"}, true},
	} {
		err := test.signature.Verify(Push{Header: test.header, Body: []byte("body"), Received: now}, test.secrets...)
		var told *Error
		if test.good != (err == nil) || err != nil && (!errors.As(err, &told) || told.Class != ClassAuth) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestCheckBearer(t *testing.T) {
	for header, good := range map[string]bool{"Bearer s3cret": true, "bearer s3cret": true, "Bearer s3cre": false, "Basic s3cret": false, "Bearer ": false, "": false} {
		if err := CheckBearer(Push{Header: http.Header{"Authorization": {header}}}, "", "s3cret"); good != (err == nil) {
			t.Errorf("%q: %v", header, err)
		}
	}
	if CheckBearer(Push{Header: http.Header{"Authorization": {"Bearer s3cret", "Bearer s3cret"}}}, "s3cret") == nil {
		t.Error("two headers")
	}
}
