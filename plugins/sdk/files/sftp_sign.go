package files

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"

	"golang.org/x/crypto/ssh"

	"github.com/lrshub/lrshub/plugins/sdk"
)

// hostKeys knows a server again.
type hostKeys struct {
	keys         []ssh.PublicKey
	fingerprints []string
	shown        string // the fingerprint of what the server showed, if it is none of ours
}

func parseHostKeys(texts []string) (*hostKeys, error) {
	known := &hostKeys{}
	for i, text := range texts {
		text = strings.TrimSpace(text)
		if strings.HasPrefix(text, "SHA256:") {
			known.fingerprints = append(known.fingerprints, strings.TrimRight(text, "="))
			continue
		}
		key, _, _, _, err := ssh.ParseAuthorizedKey([]byte(text))
		if err != nil { // a line of known_hosts, or of ssh-keyscan: the host's name precedes
			_, rest, _ := strings.Cut(text, " ")
			key, _, _, _, err = ssh.ParseAuthorizedKey([]byte(rest))
		}
		if err != nil {
			return nil, fmt.Errorf("sftp: host_keys[%d] is neither a public key (ssh-ed25519 AAAA...) nor a fingerprint (SHA256:...)", i)
		}
		known.keys = append(known.keys, key)
	}
	if len(texts) == 0 {
		return nil, errors.New("sftp: set host_keys to the server's host keys or their fingerprints; ask its administrators (a key that is fetched from the network proves nothing)")
	}
	return known, nil
}

var errHostKey = errors.New("another host key")

func (k *hostKeys) check(_ string, _ net.Addr, key ssh.PublicKey) error {
	shown := ssh.FingerprintSHA256(key)
	for _, ours := range k.keys {
		if bytes.Equal(ours.Marshal(), key.Marshal()) {
			return nil
		}
	}
	for _, ours := range k.fingerprints {
		if ours == shown {
			return nil
		}
	}
	k.shown = shown
	return errHostKey
}

// algorithms asks the server for the kinds of key that we know; nil if a fingerprint leaves that open.
func (k *hostKeys) algorithms() (list []string) {
	if len(k.fingerprints) > 0 {
		return nil
	}
	for _, key := range k.keys {
		if key.Type() == ssh.KeyAlgoRSA {
			list = append(list, ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256)
		} else {
			list = append(list, key.Type())
		}
	}
	return list
}

// clientConfig fetches the secrets that there are.
func (c *SFTP) clientConfig(ctx context.Context, s *sdk.Session) (*ssh.ClientConfig, *hostKeys, error) {
	keys, err := parseHostKeys(c.HostKeys)
	if err != nil {
		return nil, nil, sdk.Errorf(sdk.ClassConfig, "%w", err)
	}
	config := &ssh.ClientConfig{User: c.User, HostKeyCallback: keys.check, HostKeyAlgorithms: keys.algorithms(), ClientVersion: "SSH-2.0-lrshub"}
	if text, err := s.Secret(ctx, secretKey); err == nil && text != "" {
		signer, err := signer(ctx, s, text)
		if err != nil {
			return nil, nil, err
		}
		config.Auth = append(config.Auth, ssh.PublicKeys(signer))
	}
	if password, err := s.Secret(ctx, secretPassword); err == nil && password != "" {
		config.Auth = append(config.Auth, ssh.Password(password), ssh.KeyboardInteractive(
			func(_, _ string, questions []string, echos []bool) ([]string, error) { // how some servers ask for the password
				answers := make([]string, len(questions))
				if len(questions) == 1 && !echos[0] {
					answers[0] = password
				}
				return answers, nil
			}))
	}
	if len(config.Auth) == 0 {
		return nil, nil, sdk.Errorf(sdk.ClassConfig, "sftp: set the secret password or private_key")
	}
	return config, keys, nil
}

func signer(ctx context.Context, s *sdk.Session, text string) (ssh.Signer, error) {
	key, err := ssh.ParsePrivateKey([]byte(text))
	var locked *ssh.PassphraseMissingError
	if errors.As(err, &locked) {
		var passphrase string
		if passphrase, err = s.Secret(ctx, secretPassphrase); err != nil {
			return nil, sdk.Errorf(sdk.ClassConfig, "sftp: the private key has a passphrase: set the secret passphrase")
		}
		key, err = ssh.ParsePrivateKeyWithPassphrase([]byte(text), []byte(passphrase))
	}
	if err != nil { // its text may quote the key
		return nil, sdk.Errorf(sdk.ClassConfig, "sftp: the private key cannot be read, or its passphrase is wrong: it must be what ssh-keygen writes, all lines of it")
	}
	return key, nil
}

// refused words why the user could not sign in.
func (c *SFTP) refused(err error, keys *hostKeys, conn *watched) error {
	switch {
	case keys.shown != "":
		return sdk.Errorf(sdk.ClassConfig, "the SFTP server %s shows a host key with the fingerprint %s, which is none of sftp.host_keys; if its administrators confirm that it is theirs, add it",
			c.address(), keys.shown)
	case strings.Contains(err.Error(), "unable to authenticate"):
		return sdk.Errorf(sdk.ClassAuth, "the SFTP server %s does not let the user %s sign in with the password or key that is set", c.address(), c.User)
	case errors.Is(err, errNoSFTP):
		return sdk.Errorf(sdk.ClassPermission, "the SFTP server %s: %w; ask its administrators", c.address(), errNoSFTP)
	case strings.Contains(err.Error(), "no common algorithm"):
		return sdk.Errorf(sdk.ClassConfig, "the SFTP server %s and the hub have no algorithm in common, or it has no host key of the kinds in sftp.host_keys", c.address())
	}
	return c.broken(errors.Join(conn.failure(), err))
}

// watched is a connection that keeps why it failed, which the layers above it lose, and can be held to a number of bytes.
type watched struct {
	net.Conn
	mu      sync.Mutex
	err     error
	bounded bool
	left    int
}

func (w *watched) Read(p []byte) (int, error) {
	n, err := w.Conn.Read(p)
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.left -= n; w.bounded && w.left < 0 {
		n, err = 0, sdk.Errorf(sdk.ClassData, "the folder holds more files than can be listed; have old ones moved away")
	}
	if err != nil && err != io.EOF && w.err == nil {
		w.err = err
	}
	return n, err
}

// bound has the connection fail after so many bytes; 0 lifts that.
func (w *watched) bound(most int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.bounded, w.left = most > 0, most
}

func (w *watched) failure() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.err
}
