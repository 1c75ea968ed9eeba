package postgres

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// hubVariable turns this test binary into a hub that runs Postgres on the named folder until it is killed.
const hubVariable = "LRSHUB_POSTGRES_TEST_HUB"

func TestMain(m *testing.M) {
	if dir := os.Getenv(hubVariable); dir != "" {
		if _, err := Start(context.Background(), Options{Dir: dir}); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		fmt.Println("ready")
		select {}
	}
	os.Exit(m.Run())
}

// newFolder is a folder that an unprivileged user can pass through, which t.TempDir is not.
func newFolder(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "lrshub-postgres-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o711); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, "hub")
}

func start(t *testing.T, options Options) *Server {
	t.Helper()
	options.Logger = slog.New(slog.DiscardHandler)
	s, err := Start(t.Context(), options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stop(t, s) })
	return s
}

// child is the postmaster's process id.
func child(s *Server) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.pid
}

func stop(t *testing.T, s *Server) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := s.Stop(ctx); err != nil {
		t.Error(err)
	}
}

func open(t *testing.T, s *Server, name string) *sql.DB {
	t.Helper()
	db, err := sql.Open("postgres", s.URL(name))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

func run(t *testing.T, db *sql.DB, statement string) {
	t.Helper()
	if _, err := db.ExecContext(t.Context(), statement); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}

func value(t *testing.T, db *sql.DB, query string) string {
	t.Helper()
	var v string
	if err := db.QueryRowContext(t.Context(), query).Scan(&v); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return v
}

func TestStartAgain(t *testing.T) {
	dir := newFolder(t)
	s := start(t, Options{Dir: dir})
	for range 2 { // the second time it is there
		if err := s.CreateDatabase(t.Context(), "lrshub"); err != nil {
			t.Fatal(err)
		}
	}
	db := open(t, s, "lrshub")
	run(t, db, "CREATE TABLE kept AS SELECT 'as it was' AS word")
	for setting, want := range map[string]string{
		"data_checksums": "on", "fsync": "on", "listen_addresses": "127.0.0.1", "log_min_messages": "log", "log_error_verbosity": "terse",
		"log_min_error_statement": "panic", "server_encoding": "UTF8", "password_encryption": "scram-sha-256", "wal_level": "replica",
	} {
		if got := value(t, db, "SELECT current_setting('"+setting+"')"); got != want {
			t.Errorf("%s is %s, want %s", setting, got, want)
		}
	}
	url, began := s.URL("lrshub"), time.Now()
	stop(t, s)
	select {
	case <-s.Done():
	default:
		t.Error("stopped, and not done")
	}
	if s.Err() != nil {
		t.Errorf("stopped as told, yet: %v", s.Err())
	}
	s = start(t, Options{Dir: dir})
	t.Logf("stopped and started again in %v", time.Since(began))
	if s.URL("lrshub") != url {
		t.Error("another URL after a restart")
	}
	if got := value(t, open(t, s, "lrshub"), "SELECT word FROM kept"); got != "as it was" {
		t.Errorf("kept %q", got)
	}
	for _, name := range []string{"password", "postgres.log"} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", name, info.Mode(), err)
		}
	}
}

func TestUnixSocket(t *testing.T) {
	s := start(t, Options{Dir: newFolder(t), Test: true})
	db, err := sql.Open("postgres", fmt.Sprintf("host=%s port=%d user=%s password=%s dbname=postgres sslmode=disable", s.data(), s.port, Owner, s.password))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if got := value(t, db, "SELECT (inet_server_addr() IS NULL)::text"); got != "true" {
		t.Error("not over the socket")
	}
}

func TestPasswordIsAsked(t *testing.T) {
	s := start(t, Options{Dir: newFolder(t), Test: true})
	db, err := sql.Open("postgres", strings.Replace(s.URL("postgres"), s.password, "guess", 1))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := db.PingContext(t.Context()); err == nil {
		t.Error("a wrong password opens the cluster")
	}
}

// The kernel must not leave Postgres behind when the hub is killed, and the next start must have every committed row.
func TestHubKilled(t *testing.T) {
	dir := newFolder(t)
	hub := exec.Command(os.Args[0])
	hub.Env = append(os.Environ(), hubVariable+"="+dir)
	out, err := hub.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := hub.Start(); err != nil {
		t.Fatal(err)
	}
	defer hub.Process.Kill()
	word := make([]byte, 5)
	if _, err := out.Read(word); err != nil || string(word) != "ready" {
		t.Fatalf("the hub said %q, %v", word, err)
	}
	password, err := os.ReadFile(filepath.Join(dir, "password"))
	if err != nil {
		t.Fatal(err)
	}
	port, err := os.ReadFile(filepath.Join(dir, "port"))
	if err != nil {
		t.Fatal(err)
	}
	number, _ := strconv.Atoi(strings.TrimSpace(string(port)))
	db := open(t, &Server{port: number, password: string(password)}, "postgres")
	run(t, db, "CREATE TABLE kept AS SELECT generate_series(1, 1000) AS n")
	busy, err := db.BeginTx(t.Context(), nil) // a shutdown must not wait for it
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Rollback()
	if _, err := busy.Exec("INSERT INTO kept VALUES (1001)"); err != nil {
		t.Fatal(err)
	}
	if err := hub.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	s := start(t, Options{Dir: dir})
	t.Logf("ready %v after the kill", time.Since(began))
	if got := value(t, open(t, s, "postgres"), "SELECT count(*) FROM kept"); got != "1000" {
		t.Errorf("%s rows", got)
	}
}

func TestPostmasterKilled(t *testing.T) {
	s := start(t, Options{Dir: newFolder(t)})
	db := open(t, s, "postgres")
	run(t, db, "CREATE TABLE kept AS SELECT 1 AS n")
	for range 2 {
		pid := child(s)
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		for {
			if child(s) != pid && db.PingContext(t.Context()) == nil {
				break
			}
			if time.Since(began) > 20*time.Second {
				t.Fatal("not started again")
			}
			time.Sleep(20 * time.Millisecond)
		}
		t.Logf("back after %v", time.Since(began))
		if got := value(t, db, "SELECT count(*) FROM kept"); got != "1" {
			t.Errorf("%s rows", got)
		}
	}
}

func TestGivesUp(t *testing.T) {
	dir := newFolder(t)
	s := start(t, Options{Dir: dir, Test: true})
	if err := os.WriteFile(filepath.Join(dir, "local.conf"), []byte("no_such_setting = on\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(child(s), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	select {
	case <-s.Done():
	case <-time.After(30 * time.Second):
		t.Fatal("still trying")
	}
	if err := s.Err(); !errors.Is(err, ErrDied) || !strings.Contains(err.Error(), "no_such_setting") {
		t.Errorf("%v", err)
	}
}

func TestInterruptedInitdb(t *testing.T) {
	dir := newFolder(t)
	if err := os.MkdirAll(filepath.Join(dir, "data.new", "base"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o711); err != nil {
		t.Fatal(err)
	}
	start(t, Options{Dir: dir, Test: true})
}

// What a client did wrong must not put a row's value into the server's log.
func TestNoValuesInLog(t *testing.T) {
	dir := newFolder(t)
	s := start(t, Options{Dir: dir, Test: true})
	db := open(t, s, "postgres")
	run(t, db, "CREATE TABLE learner (name text PRIMARY KEY, age int CHECK (age > 3))")
	run(t, db, "INSERT INTO learner VALUES ('token-7261', 30)")
	for _, bad := range []string{
		"INSERT INTO learner VALUES ('token-7261', 30)", "INSERT INTO learner VALUES ('token-7262', 1)", "SELECT 'token-7263'::uuid", "SELEKT 'token-7264'",
		"DO $$ BEGIN RAISE WARNING 'token-7265'; END $$", "DO $$ BEGIN RAISE EXCEPTION 'token-7266'; END $$",
	} {
		_, err := db.ExecContext(t.Context(), bad)
		if err == nil && !strings.Contains(bad, "WARNING") {
			t.Errorf("%s: no error", bad)
		}
	}
	if _, err := db.ExecContext(t.Context(), "INSERT INTO learner VALUES ($1, $2)", "token-7267", "token-7268"); err == nil {
		t.Error("no error for a bad parameter")
	}
	stop(t, s)
	text, err := os.ReadFile(filepath.Join(dir, "postgres.log"))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(text, []byte("ready to accept connections")) {
		t.Errorf("the log is not the server's: %s", text)
	}
	if bytes.Contains(text, []byte("token-72")) {
		t.Errorf("the log has values: %s", text)
	}
}
