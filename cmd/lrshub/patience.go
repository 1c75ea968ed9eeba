package main

import (
	"net/http"
	"time"
)

// patience is how long a client may take to receive one piece of an answer. An export may last for hours as long as its reader reads.
const patience = time.Minute

// patient ends an answer whose reader has stopped reading, so that it holds neither a goroutine nor a page of statements for ever.
func patient(next http.Handler, patience time.Duration) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p := &patientWriter{ResponseWriter: w, control: http.NewResponseController(w), patience: patience}
		p.extend()
		next.ServeHTTP(p, r)
		_ = p.control.SetWriteDeadline(time.Time{}) // the connection's next request has its own time
	})
}

type patientWriter struct {
	http.ResponseWriter
	control  *http.ResponseController
	patience time.Duration
}

// extend gives the next piece its time. A server that cannot set deadlines serves without.
func (p *patientWriter) extend() { _ = p.control.SetWriteDeadline(time.Now().Add(p.patience)) }

func (p *patientWriter) Write(b []byte) (int, error) {
	p.extend()
	return p.ResponseWriter.Write(b)
}

// Unwrap is for http.ResponseController.
func (p *patientWriter) Unwrap() http.ResponseWriter { return p.ResponseWriter }
