package ingest

import (
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"

	"github.com/go-jose/go-jose/v4"

	"github.com/lrshub/lrshub/hub/xapi"
)

// algorithms are those with which a statement may be signed (Data 2.6).
var algorithms = []jose.SignatureAlgorithm{jose.RS256, jose.RS384, jose.RS512}

// maxModulus bounds the bits of a signer's key: what a larger one costs grows with its square.
const maxModulus = 16384

// What is wrong with a signature; each follows on «the signature of statement 0».
var (
	errNotJWS      = errors.New("is no JSON Web Signature in the compact form with the algorithm RS256, RS384 or RS512")
	errPayload     = errors.New("has a payload that is no valid statement")
	errOther       = errors.New("is of another statement: its payload is not this one as it was before it was signed")
	errCertificate = errors.New("has an x5c whose first entry is no X.509 certificate with an RSA key of up to 16384 bits")
	errSignature   = errors.New("was not made with the key of its first certificate")
)

// checkSignature checks that a signature is one of the statement. Without a certificate in it nobody can say whether its key is right, nor who signed with one: that is for whoever
// relies on it (Data 2.6).
func checkSignature(st *xapi.Statement, compact string) error {
	signed, err := jose.ParseSignedCompact(compact, algorithms)
	if err != nil {
		return errNotJWS
	}
	payload, err := xapi.Parse(signed.UnsafePayloadWithoutVerification(), st.Version)
	if err != nil {
		return errPayload
	}
	if !st.Signed(payload) {
		return errOther
	}
	key, err := signer(compact)
	if key == nil || err != nil {
		return err
	}
	if _, err := signed.Verify(key); err != nil {
		return errSignature
	}
	return nil
}

// signer gives the key of the certificate that the signature's header names first, or nil if it names none.
func signer(compact string) (*rsa.PublicKey, error) {
	protected, _, _ := strings.Cut(compact, ".")
	text, err := base64.RawURLEncoding.DecodeString(protected)
	if err != nil {
		return nil, errNotJWS
	}
	var header map[string]json.RawMessage // a struct's names would match in any case
	if err := json.Unmarshal(text, &header); err != nil {
		return nil, errNotJWS
	}
	if header["x5c"] == nil {
		return nil, nil
	}
	var chain []string
	if err := json.Unmarshal(header["x5c"], &chain); err != nil || len(chain) == 0 {
		return nil, errCertificate
	}
	der, err := base64.StdEncoding.DecodeString(chain[0])
	if err != nil {
		return nil, errCertificate
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, errCertificate
	}
	key, ok := certificate.PublicKey.(*rsa.PublicKey)
	if !ok || key.N.BitLen() > maxModulus {
		return nil, errCertificate
	}
	return key, nil
}
