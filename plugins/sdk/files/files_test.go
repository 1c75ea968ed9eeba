package files

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/lrshub/lrshub/plugins/sdk"
	"github.com/lrshub/lrshub/plugins/sdk/files/filestest"
	"github.com/lrshub/lrshub/plugins/sdk/sdktest"
)

// openSSH is the program that serves files on most servers; where it is installed it is tried too.
const openSSH = "/usr/lib/openssh/sftp-server"

func place(t *testing.T, folder string, s *filestest.Server) Place {
	t.Helper()
	p := Place{Folder: folder, SFTP: &SFTP{}}
	if err := json.Unmarshal([]byte(s.Config()), p.SFTP); err != nil {
		t.Fatal(err)
	}
	return p
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// everywhere runs a test on a folder of this machine and on the same folder of servers.
func everywhere(t *testing.T, test func(t *testing.T, dir string, open func() (Folder, error))) {
	t.Run("local", func(t *testing.T) {
		dir := t.TempDir()
		test(t, dir, func() (Folder, error) { return Place{Folder: dir}.Open(t.Context(), nil) })
	})
	for name, program := range map[string]string{"sftp": "", "openssh": openSSH} {
		t.Run(name, func(t *testing.T) {
			if _, err := os.Stat(program); program != "" && err != nil {
				t.Skip(program, "is not installed (Debian: openssh-sftp-server)")
			}
			dir := t.TempDir()
			server := filestest.Start(t, dir)
			server.Program = program
			p := place(t, ".", server)
			test(t, dir, func() (Folder, error) { return p.Open(t.Context(), sdktest.Session(`{}`, nil, server.Secrets())) })
		})
	}
}

func TestFolder(t *testing.T) {
	everywhere(t, func(t *testing.T, dir string, open func() (Folder, error)) {
		write(t, filepath.Join(dir, "b.csv"), "second")
		write(t, filepath.Join(dir, "a.csv"), strings.Repeat("0123456789", 100_000))
		write(t, filepath.Join(dir, "c.txt"), "third")
		write(t, filepath.Join(dir, "sub", "d.csv"), "fourth")
		if err := syscall.Mkfifo(filepath.Join(dir, "pipe.csv"), 0o644); err != nil {
			t.Fatal(err)
		}
		folder, err := open()
		if err != nil {
			t.Fatal(err)
		}
		defer folder.Close()
		for pattern, want := range map[string][]string{"*.csv": {"a.csv", "b.csv", "pipe.csv"}, "*/*.csv": {"sub/d.csv"}, "none*": nil, "a.csv": {"a.csv"}, "nothere/*": nil} {
			if got, err := folder.Glob(pattern); err != nil || !slices.Equal(got, want) {
				t.Errorf("%s: %q, %v", pattern, got, err)
			}
		}
		if about, err := folder.Stat("a.csv"); err != nil || about.Size() != 1_000_000 || about.IsDir() || time.Since(about.ModTime()) > time.Minute {
			t.Errorf("stat: %+v, %v", about, err)
		}
		if _, err := folder.Stat("missing"); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("stat of nothing: %v", err)
		}
		if _, err := folder.Open("missing"); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("open of nothing: %v", err)
		}
		for _, name := range []string{"sub", "pipe.csv"} {
			if _, err := folder.Open(name); !errors.Is(err, errIrregular) {
				t.Errorf("open of %s: %v", name, err)
			}
		}
		f, err := folder.Open("a.csv")
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		checkReads(t, f)
		grown, err := os.OpenFile(filepath.Join(dir, "a.csv"), os.O_APPEND|os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprint(grown, "more")
		grown.Close()
		end := make([]byte, 10)
		if n, err := f.ReadAt(end, 1_000_000); n != 4 || err != io.EOF || string(end[:n]) != "more" {
			t.Errorf("what was appended: %q, %v", end[:n], err)
		}
		if about, err := f.Stat(); err != nil || about.Size() != 1_000_004 {
			t.Errorf("stat of the open file: %v", err)
		}
		// A file that is rotated away stays the file that was opened.
		if err := os.Rename(filepath.Join(dir, "a.csv"), filepath.Join(dir, "a.csv.1")); err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(dir, "a.csv"), "new")
		if n, err := f.ReadAt(end, 0); n != 10 || err != nil || string(end) != "0123456789" {
			t.Errorf("after rotation: %q, %v", end[:n], err)
		}
	})
}

func checkReads(t *testing.T, f File) {
	t.Helper()
	large := make([]byte, 700_000)
	if n, err := f.ReadAt(large, 123_456); n != len(large) || err != nil || string(large[:10]) != "6789012345" || large[len(large)-1] != '5' {
		t.Errorf("a large piece: %d, %v, %q", n, err, large[:10])
	}
	if n, err := f.ReadAt(large, 999_990); n != 10 || err != io.EOF {
		t.Errorf("at the end: %d, %v", n, err)
	}
	if n, err := f.ReadAt(large, 2_000_000); n != 0 || err != io.EOF {
		t.Errorf("past the end: %d, %v", n, err)
	}
}

func TestFolderThatIsNone(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "file"), "x")
	server := filestest.Start(t, dir)
	s := sdktest.Session(`{}`, nil, server.Secrets())
	for _, folder := range []string{"missing", "file"} {
		for _, p := range []Place{{Folder: filepath.Join(dir, folder)}, place(t, folder, server)} {
			_, err := p.Open(t.Context(), s)
			var known *sdk.Error
			if told := p.Unreadable("csv", "folder", "", err); !errors.As(told, &known) || known.Class != sdk.ClassConfig || !strings.Contains(told.Error(), "csv: folder "+p.At("")+" cannot be read") {
				t.Errorf("%s: %v", p.At(""), told)
			}
		}
	}
}

// TestNothingLeadsOut: a link within a folder of this machine does not lead out of it.
func TestNothingLeadsOut(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "secret"), "x")
	if err := os.Mkdir(filepath.Join(dir, "in"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("../secret", filepath.Join(dir, "in", "link")); err != nil {
		t.Fatal(err)
	}
	folder, err := Place{Folder: filepath.Join(dir, "in")}.Open(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer folder.Close()
	for _, name := range []string{"link", "../secret"} {
		if f, err := folder.Open(name); err == nil {
			f.Close()
			t.Errorf("%s was opened", name)
		}
	}
}

func newKey(t *testing.T, passphrase string) (public ssh.PublicKey, text string) {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKey(key, "")
	if passphrase != "" {
		block, err = ssh.MarshalPrivateKeyWithPassphrase(key, "", []byte(passphrase))
	}
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return signer.PublicKey(), string(pem.EncodeToMemory(block))
}

func TestSigningIn(t *testing.T) {
	public, plain := newKey(t, "")
	lockedPublic, locked := newKey(t, "open sesame")
	other, _ := newKey(t, "")
	authorized := func(key ssh.PublicKey) string { return strings.TrimSpace(string(ssh.MarshalAuthorizedKey(key))) }
	tests := []struct {
		name    string
		server  func(*filestest.Server)
		place   func(*SFTP)
		secrets map[string]string
		class   sdk.Class // "" is success
		want    string
	}{
		{name: "password", secrets: map[string]string{"sftp.password": filestest.Password}},
		{name: "password by question", server: func(s *filestest.Server) { s.Interactive = true }, secrets: map[string]string{"sftp.password": filestest.Password}},
		{name: "key", server: func(s *filestest.Server) { s.Key = public }, secrets: map[string]string{"sftp.private_key": plain}},
		{name: "locked key", server: func(s *filestest.Server) { s.Key = lockedPublic }, secrets: map[string]string{"sftp.private_key": locked, "sftp.passphrase": "open sesame"}},
		{name: "key, then password", secrets: map[string]string{"sftp.private_key": plain, "sftp.password": filestest.Password}},
		{name: "wrong password", secrets: map[string]string{"sftp.password": "PRIVATE"}, class: sdk.ClassAuth, want: "does not let the user reader sign in"},
		{name: "wrong key", secrets: map[string]string{"sftp.private_key": plain}, class: sdk.ClassAuth, want: "sign in"},
		{name: "wrong passphrase", secrets: map[string]string{"sftp.private_key": locked, "sftp.passphrase": "PRIVATE"}, class: sdk.ClassConfig, want: "passphrase is wrong"},
		{name: "no passphrase", secrets: map[string]string{"sftp.private_key": locked}, class: sdk.ClassConfig, want: "set the secret passphrase"},
		{name: "broken key", secrets: map[string]string{"sftp.private_key": "-----BEGIN PRIVATE"}, class: sdk.ClassConfig, want: "cannot be read"},
		{name: "no secret", class: sdk.ClassConfig, want: "set the secret password or private_key"},
		{name: "fingerprint", place: func(s *SFTP) {
			key, _, _, _, _ := ssh.ParseAuthorizedKey([]byte(s.HostKeys[0]))
			s.HostKeys[0] = ssh.FingerprintSHA256(key)
		}, secrets: map[string]string{"sftp.password": filestest.Password}},
		{name: "known_hosts", place: func(s *SFTP) { s.HostKeys[0] = "[files.example]:22 " + s.HostKeys[0] + " comment" }, secrets: map[string]string{"sftp.password": filestest.Password}},
		{name: "one of several", place: func(s *SFTP) { s.HostKeys = append([]string{authorized(other)}, s.HostKeys...) }, secrets: map[string]string{"sftp.password": filestest.Password}},
		{name: "another host key", place: func(s *SFTP) { s.HostKeys = []string{authorized(other)} }, secrets: map[string]string{"sftp.password": filestest.Password},
			class: sdk.ClassConfig, want: "shows a host key with the fingerprint SHA256:"},
		{name: "another fingerprint", place: func(s *SFTP) { s.HostKeys = []string{ssh.FingerprintSHA256(other)} }, secrets: map[string]string{"sftp.password": filestest.Password},
			class: sdk.ClassConfig, want: "none of sftp.host_keys"},
		{name: "no SFTP", server: func(s *filestest.Server) { s.Program = "/bin/false" }, secrets: map[string]string{"sftp.password": filestest.Password},
			class: sdk.ClassPermission, want: "not use SFTP"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			server := filestest.Start(t, t.TempDir())
			if test.server != nil {
				test.server(server)
			}
			p := place(t, ".", server)
			if test.place != nil {
				test.place(p.SFTP)
			}
			folder, err := p.Open(t.Context(), sdktest.Session(`{}`, nil, test.secrets))
			if err == nil {
				folder.Close()
			}
			var known *sdk.Error
			if errors.As(err, &known); test.class == "" && err != nil || test.class != "" && (known == nil || known.Class != test.class || !strings.Contains(err.Error(), test.want)) {
				t.Errorf("got  %v\nwant %s: %s", err, test.class, test.want)
			}
			if err != nil && strings.Contains(err.Error(), "PRIVATE") {
				t.Errorf("a secret stands in %v", err)
			}
		})
	}
}

func TestPlaceCheck(t *testing.T) {
	good := SFTP{Host: "h", User: "u", HostKeys: []string{"SHA256:abc"}}
	for want, change := range map[string]func(*Place){
		"set folder":        func(p *Place) { p.Folder = "" },
		"set host and user": func(p *Place) { p.SFTP.Host = "" },
		"port must be":      func(p *Place) { p.SFTP.Port = 70000 },
		"host_keys[0] is":   func(p *Place) { p.SFTP.HostKeys = []string{"ssh-ed25519 nonsense"} },
		"proves nothing":    func(p *Place) { p.SFTP.HostKeys = nil },
	} {
		server := good
		p := Place{Folder: "/out", SFTP: &server}
		if err := p.Check(); err != nil {
			t.Fatal(err)
		}
		change(&p)
		if err := p.Check(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

// TestServerThatFails: whatever becomes of the connection is worth another try, and says so.
func TestServerThatFails(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "large"), strings.Repeat("x", 4<<20))
	for i := range 50 {
		write(t, filepath.Join(dir, fmt.Sprintf("name-%d", i)), "x")
	}
	before, bytes := answer, listing
	t.Cleanup(func() { answer, listing = before, bytes })
	read := func(folder Folder) error {
		f, err := folder.Open("large")
		if err != nil {
			return err
		}
		defer f.Close()
		_, err = f.ReadAt(make([]byte, 4<<20), 0)
		return err
	}
	list := func(folder Folder) error {
		names, err := folder.Glob("name-*")
		if err == nil && len(names) < 50 {
			return errors.New("fewer names without an error")
		}
		return err
	}
	tests := []struct {
		name  string
		fail  func(*filestest.Server)
		do    func(Folder) error
		class sdk.Class
		want  string
	}{
		{"well", func(*filestest.Server) {}, read, "", ""},
		{"cut", (*filestest.Server).Cut, read, sdk.ClassTransient, "broke off"},
		{"cut while it sends", func(s *filestest.Server) { s.CutAfter(1 << 20) }, read, sdk.ClassTransient, "broke off"},
		{"cut while it lists", func(s *filestest.Server) { s.CutAfter(500) }, list, sdk.ClassTransient, "broke off"},
		{"silent", func(s *filestest.Server) { s.Stall(); answer = 200 * time.Millisecond }, read, sdk.ClassTransient, "broke off"},
		{"too many names", func(*filestest.Server) { listing = 1000 }, list, sdk.ClassData, "more files than can be listed"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			answer, listing = before, bytes
			server := filestest.Start(t, dir)
			folder, err := place(t, ".", server).Open(t.Context(), sdktest.Session(`{}`, nil, server.Secrets()))
			if err != nil {
				t.Fatal(err)
			}
			defer folder.Close()
			test.fail(server)
			err = test.do(folder)
			var known *sdk.Error
			if errors.As(err, &known); test.class == "" && err != nil || test.class != "" && (known == nil || known.Class != test.class || !strings.Contains(err.Error(), test.want)) {
				t.Errorf("got  %v\nwant %s: %s", err, test.class, test.want)
			}
		})
	}
}
