package main

import (
	"encoding/base64"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/tink-crypto/tink-go/v2/tink"

	"github.com/lrshub/lrshub/hub/database"
	"github.com/lrshub/lrshub/hub/vault"
)

// settings say where a hub finds what it needs. `up` makes them of its data folder; the other commands read the environment.
type settings struct {
	DatabaseURL string // as the application's role
	OwnerURL    string // as the owner; for migrate only
	Temporal    string // host:port of the frontend
	Namespace   string
	KeysDir     string // key ring, outside Postgres and its backups
	AuditDir    string // signing key and anchor of the audit log, outside Postgres
	BlobsDir    string // attachments that are too large for Postgres; "": there are none
	RunDir      string // sockets of connectors
	Installed   string // programs of third parties' connectors; "": there are none
	Listen      string
	PublicURL   string // under which clients reach the hub; also the home page of the hub's own accounts
	SignIn      signInSettings
	Connectors  connectorSettings
	master      func() (tink.AEAD, error)
}

// private lists the folders that no connector may see.
func (s settings) private() []string {
	list := []string{s.KeysDir, s.AuditDir}
	if s.BlobsDir != "" {
		list = append(list, s.BlobsDir)
	}
	return list
}

type connectorSettings struct {
	AllowNoNamespace bool     // run connectors without a network namespace of their own
	Hide             []string // folders and files that connectors must not see, besides keys and audit log
	Show             []string // folders in hidden ones that they may read
}

// variable is an environment variable that settings are read from.
type variable struct {
	name, fallback, help string
	target               func(*settings) *string
}

var variables = []variable{
	{"LRSHUB_DATABASE_URL", "", "Postgres as the application's role: postgres://lrshub:…@host/lrshub", func(s *settings) *string { return &s.DatabaseURL }},
	{"LRSHUB_DATABASE_OWNER_URL", "", "Postgres as the owner, for migrate", func(s *settings) *string { return &s.OwnerURL }},
	{"LRSHUB_TEMPORAL_ADDRESS", "127.0.0.1:7233", "Temporal frontend", func(s *settings) *string { return &s.Temporal }},
	{"LRSHUB_TEMPORAL_NAMESPACE", "lrshub", "Temporal namespace", func(s *settings) *string { return &s.Namespace }},
	{"LRSHUB_KEYS_DIR", "", "folder of the key ring, shared by all hubs and in no backup of Postgres", func(s *settings) *string { return &s.KeysDir }},
	{"LRSHUB_AUDIT_DIR", "", "folder of the audit log's signing key and anchor, shared by all hubs", func(s *settings) *string { return &s.AuditDir }},
	{"LRSHUB_BLOBS_DIR", "", "folder of large attachments, shared by all hubs; without it attachments above 64 KiB are refused", func(s *settings) *string { return &s.BlobsDir }},
	{"LRSHUB_RUN_DIR", filepath.Join(os.TempDir(), "lrshub"), "folder for connectors' sockets", func(s *settings) *string { return &s.RunDir }},
	{"LRSHUB_CONNECTORS_DIR", "", "folder of third parties' connectors, which `lrshub connector install` fills on each node", func(s *settings) *string { return &s.Installed }},
	{"LRSHUB_LISTEN", "127.0.0.1:8080", "address to listen on", func(s *settings) *string { return &s.Listen }},
	{"LRSHUB_PUBLIC_URL", "", "URL under which clients reach the hub; must not change: it names the hub's own accounts", func(s *settings) *string { return &s.PublicURL }},
	{"LRSHUB_JWT_ISSUER", "", "URL of an OpenID provider whose JWTs are taken of clients made with --jwt-subject", func(s *settings) *string { return &s.SignIn.Issuer }},
	{"LRSHUB_JWT_AUDIENCE", "", "audience that these JWTs must have", func(s *settings) *string { return &s.SignIn.Audience }},
	{"LRSHUB_TRUSTED_PROXIES", "", "CIDRs, with commas between, of proxies whose X-Forwarded-For says where a request comes from", func(s *settings) *string { return &s.SignIn.Proxies }},
}

// fromEnvironment reads settings; needed are the variables that the command cannot do without.
func fromEnvironment(needed ...string) (settings, error) {
	var s settings
	var missing []string
	for _, v := range variables {
		value := os.Getenv(v.name)
		if value == "" {
			value = v.fallback
		}
		*v.target(&s) = value
		for _, n := range needed {
			if n == v.name && value == "" {
				missing = append(missing, fmt.Sprintf("%s (%s)", v.name, v.help))
			}
		}
	}
	s.Connectors.AllowNoNamespace = os.Getenv("LRSHUB_CONNECTORS_WITHOUT_NAMESPACE") == "allow"
	s.PublicURL = strings.TrimSuffix(s.PublicURL, "/")
	s.Connectors.Hide = keyPlaces(os.Getenv("LRSHUB_MASTER_KEY_FILE"))
	s.master = masterFromEnvironment
	if len(missing) > 0 {
		return s, usage("set these environment variables:\n  %s", strings.Join(missing, "\n  "))
	}
	return s, s.SignIn.check()
}

// masterFromEnvironment reads the master key from LRSHUB_MASTER_KEY (base64 of 32 bytes) or LRSHUB_MASTER_KEY_FILE.
func masterFromEnvironment() (tink.AEAD, error) {
	if text := os.Getenv("LRSHUB_MASTER_KEY"); text != "" {
		key, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			return nil, usage("LRSHUB_MASTER_KEY is not base64; make one with: openssl rand -base64 32")
		}
		return vault.MasterKey(key)
	}
	path := os.Getenv("LRSHUB_MASTER_KEY_FILE")
	if path == "" {
		return nil, usage("set LRSHUB_MASTER_KEY (base64 of 32 bytes; openssl rand -base64 32) or LRSHUB_MASTER_KEY_FILE")
	}
	key, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("LRSHUB_MASTER_KEY_FILE: %w", err)
	}
	return vault.MasterKey(key)
}

// keyPlaces is what hides a key file from connectors: the file that is read, and its folder, unless that is one of the system's
// own at the top, which programs need.
func keyPlaces(file string) []string {
	if file == "" {
		return nil
	}
	places := []string{file}
	if folder, err := filepath.Abs(filepath.Dir(file)); err == nil {
		if parent := filepath.Dir(folder); parent != filepath.Dir(parent) {
			places = append(places, folder)
		}
	}
	return places
}

// environmentHelp lists the environment variables for people.
func environmentHelp() string {
	var b strings.Builder
	for _, v := range variables {
		fmt.Fprintf(&b, "  %-28s %s", v.name, v.help)
		if v.fallback != "" {
			fmt.Fprintf(&b, " (default %s)", v.fallback)
		}
		b.WriteByte('\n')
	}
	fmt.Fprintf(&b, "  %-28s %s\n", "LRSHUB_MASTER_KEY", "base64 of the 32 bytes that wrap every key; or LRSHUB_MASTER_KEY_FILE, in a folder of its own: connectors do not see it")
	fmt.Fprintf(&b, "  %-28s %s", "LRSHUB_CONNECTORS_WITHOUT_NAMESPACE", "allow: run connectors where the kernel gives them no network namespace")
	return b.String()
}

// roleOf is the login in a database URL.
func roleOf(databaseURL string) (database.AppRole, error) {
	u, err := url.Parse(databaseURL)
	if err != nil || u.User == nil || u.User.Username() == "" {
		return database.AppRole{}, usage("LRSHUB_DATABASE_URL must name a role: postgres://lrshub:password@host:5432/lrshub")
	}
	password, _ := u.User.Password()
	return database.AppRole{Name: u.User.Username(), Password: password}, nil
}
