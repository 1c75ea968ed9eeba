package audit

import (
	"crypto/sha256"
	"crypto/subtle"
)

// commitmentDomain keeps a commitment from being any other SHA-256 that the hub makes.
const commitmentDomain = "lrshub audit commitment 1\x00"

// Commit returns the salted commitment to a detail that may have to be erased: SHA-256 of a domain prefix, the nonce
// and the detail (32 bytes). It goes into Event.Fields; nonce and detail go, sealed, to the vault. The nonce
// must be 32 fresh random bytes: it is what keeps a guessable detail from being found by trying.
func Commit(nonce [32]byte, detail []byte) []byte {
	h := sha256.New()
	h.Write([]byte(commitmentDomain))
	h.Write(nonce[:])
	h.Write(detail)
	return h.Sum(nil)
}

// VerifyCommitment says whether nonce and detail open the commitment.
func VerifyCommitment(commitment []byte, nonce [32]byte, detail []byte) bool {
	return subtle.ConstantTimeCompare(commitment, Commit(nonce, detail)) == 1
}
