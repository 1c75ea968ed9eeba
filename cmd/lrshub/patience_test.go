package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// A deadline is set for each piece, so a long answer to a reader who reads goes through, trailers included.
func TestPatientAnswers(t *testing.T) {
	server := httptest.NewServer(patient(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Trailer", "Count")
		for range 100 {
			fmt.Fprintln(w, strings.Repeat("x", 10_000))
		}
		w.Header().Set("Count", "100")
	}), patience))
	defer server.Close()
	response, err := http.Get(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil || len(body) != 100*10_001 || response.Trailer.Get("Count") != "100" {
		t.Errorf("%d bytes, trailer %q, %v", len(body), response.Trailer.Get("Count"), err)
	}
}

// An answer to somebody who does not read ends when the deadline of its piece has passed.
func TestPatienceEnds(t *testing.T) {
	ended := make(chan error, 1)
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var err error
		for err == nil {
			_, err = w.Write(make([]byte, 1<<20))
		}
		ended <- err
	})
	server := httptest.NewServer(patient(handler, 100*time.Millisecond))
	defer server.Close()
	conn, err := net.Dial("tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprint(conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	if _, err := bufio.NewReader(conn).Peek(1); err != nil {
		t.Fatal(err)
	}
	select {
	case <-ended:
	case <-time.After(10 * time.Second):
		t.Error("the answer still waits for a reader who does not read")
	}
}
