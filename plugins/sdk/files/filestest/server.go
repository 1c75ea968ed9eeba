// Package filestest is an SFTP server for the tests of connectors that read files: a real SSH server within the test, on loopback, whose
// files are those of a folder of the test. Start at Start.
package filestest

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
	"io"
	"net"
	"os/exec"
	"strings"
	"sync"
	"testing"

	"github.com/pkg/sftp"
	"golang.org/x/crypto/ssh"
)

// User and Password are what the server lets in.
const (
	User     = "reader"
	Password = "correct horse battery"
)

// Server is a running server.
type Server struct {
	Host    string
	Port    int
	HostKey string // as in authorized_keys

	// Program serves the files, started in the folder, instead of this process: OpenSSH's sftp-server.
	Program string
	// Interactive has the server ask for the password as a question.
	Interactive bool
	// Key is a public key that is let in, too.
	Key ssh.PublicKey

	root   string
	signer ssh.Signer
	mu     sync.Mutex
	conns  map[net.Conn]bool
	pass   int64 // bytes that a connection may still send; -1: any
	stall  chan struct{}
}

// Start serves a folder until the test ends. Configure the server before its first connection.
func Start(t testing.TB, root string) *Server {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(key)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().(*net.TCPAddr)
	s := &Server{Host: "127.0.0.1", Port: address.Port, root: root, signer: signer, conns: map[net.Conn]bool{}, pass: -1,
		HostKey: strings.TrimSpace(string(ssh.MarshalAuthorizedKey(signer.PublicKey())))}
	go s.accept(listener)
	t.Cleanup(func() {
		listener.Close()
		s.Resume()
		s.Cut()
	})
	return s
}

// Config is the value of a connector's setting "sftp".
func (s *Server) Config() string {
	text, err := json.Marshal(map[string]any{"host": s.Host, "port": s.Port, "user": User, "host_keys": []string{s.HostKey}})
	if err != nil {
		panic(err) // texts and a number
	}
	return string(text)
}

// Secrets are those of a connector's setting "sftp".
func (s *Server) Secrets() map[string]string { return map[string]string{"sftp.password": Password} }

// Cut breaks all connections off.
func (s *Server) Cut() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for conn := range s.conns {
		conn.Close()
	}
}

// CutAfter breaks each connection off that sends so many bytes from now on; -1: none.
func (s *Server) CutAfter(bytes int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pass = bytes
}

// Stall has the server say nothing more until Resume.
func (s *Server) Stall() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stall = make(chan struct{})
}

// Resume ends Stall.
func (s *Server) Resume() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stall != nil {
		close(s.stall)
		s.stall = nil
	}
}

func (s *Server) accept(listener net.Listener) {
	for {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		s.mu.Lock()
		s.conns[conn] = true
		s.mu.Unlock()
		go func() {
			defer conn.Close()
			s.serve(&limited{Conn: conn, server: s})
			s.mu.Lock()
			delete(s.conns, conn)
			s.mu.Unlock()
		}()
	}
}

func (s *Server) serve(conn net.Conn) {
	config := &ssh.ServerConfig{}
	config.AddHostKey(s.signer)
	check := func(password string) error {
		if password != Password {
			return io.ErrUnexpectedEOF
		}
		return nil
	}
	if s.Interactive {
		config.KeyboardInteractiveCallback = func(_ ssh.ConnMetadata, ask ssh.KeyboardInteractiveChallenge) (*ssh.Permissions, error) {
			answers, err := ask("", "", []string{"Password: "}, []bool{false})
			if err != nil || len(answers) != 1 {
				return nil, io.ErrUnexpectedEOF
			}
			return nil, check(answers[0])
		}
	} else {
		config.PasswordCallback = func(_ ssh.ConnMetadata, password []byte) (*ssh.Permissions, error) {
			return nil, check(string(password))
		}
	}
	config.PublicKeyCallback = func(_ ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
		if s.Key == nil || string(key.Marshal()) != string(s.Key.Marshal()) {
			return nil, io.ErrUnexpectedEOF
		}
		return nil, nil
	}
	_, channels, requests, err := ssh.NewServerConn(conn, config)
	if err != nil {
		return
	}
	go ssh.DiscardRequests(requests)
	for offered := range channels {
		channel, requests, err := offered.Accept()
		if err != nil {
			return
		}
		go s.session(channel, requests)
	}
}

func (s *Server) session(channel ssh.Channel, requests <-chan *ssh.Request) {
	defer channel.Close()
	for request := range requests {
		wanted := request.Type == "subsystem" && len(request.Payload) > 4 && string(request.Payload[4:]) == "sftp"
		_ = request.Reply(wanted, nil)
		if !wanted {
			continue
		}
		go ssh.DiscardRequests(requests)
		if s.Program != "" {
			program := exec.Command(s.Program, "-R", "-d", s.root) // read-only
			program.Stdout = channel
			in, err := program.StdinPipe()
			if err != nil {
				return
			}
			go func() { // not the command's own copying, which would keep it waiting for the client
				_, _ = io.Copy(in, channel)
				in.Close()
			}()
			_ = program.Run()
			return
		}
		server, err := sftp.NewServer(channel, sftp.ReadOnly(), sftp.WithServerWorkingDirectory(s.root))
		if err == nil {
			_ = server.Serve()
			_ = server.Close()
		}
		return
	}
}

// limited is a connection that can be held back or broken off.
type limited struct {
	net.Conn
	server *Server
}

func (l *limited) Write(p []byte) (int, error) {
	s := l.server
	s.mu.Lock()
	stall := s.stall
	cut := s.pass >= 0 && int64(len(p)) > s.pass
	if s.pass >= 0 && !cut {
		s.pass -= int64(len(p))
	}
	s.mu.Unlock()
	if stall != nil {
		<-stall
	}
	if cut {
		l.Close()
		return 0, net.ErrClosed
	}
	return l.Conn.Write(p)
}
