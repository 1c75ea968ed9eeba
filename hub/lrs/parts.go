package lrs

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"mime/multipart"
	"net/http"
	"net/textproto"
	"strconv"

	"github.com/lrshub/lrshub/hub/disclose"
)

// writeStatements sends statements: as JSON, or, where attachments were asked for, as the first part of a message in parts (Communication 1.5.2).
func writeStatements(w http.ResponseWriter, r request, text []byte, attachments *disclose.Attachments) error {
	if attachments == nil {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Content-Length", strconv.Itoa(len(text)))
		_, _ = w.Write(text)
		return nil
	}
	out := &watched{w: w}
	parts := multipart.NewWriter(out)
	w.Header().Set("Content-Type", "multipart/mixed; boundary="+parts.Boundary())
	w.WriteHeader(http.StatusOK)
	if r.Method == http.MethodHead {
		return nil
	}
	if err := writeParts(r.Context(), parts, text, attachments); err != nil {
		if !out.gone && r.Context().Err() == nil {
			slog.Error("xapi response broken off", "error", err)
		}
		panic(http.ErrAbortHandler) // the status is out: only an answer without an end says that this is not all
	}
	return nil
}

func writeParts(ctx context.Context, parts *multipart.Writer, text []byte, attachments *disclose.Attachments) error {
	part, err := parts.CreatePart(textproto.MIMEHeader{"Content-Type": {"application/json"}})
	if err == nil {
		_, err = part.Write(text)
	}
	if err != nil {
		return err
	}
	for a, err := range attachments.Distinct(ctx) {
		if err != nil {
			return err
		}
		part, err := parts.CreatePart(textproto.MIMEHeader{
			"Content-Type": {a.ContentType}, "Content-Transfer-Encoding": {"binary"}, hashHeader: {a.SHA2},
		})
		if err != nil {
			return err
		}
		if _, err := io.Copy(part, a.Content); err != nil {
			return fmt.Errorf("an attachment of statement %s: %w", a.Statement, err)
		}
	}
	return parts.Close()
}

// watched is a response that knows whether its reader is gone.
type watched struct {
	w    io.Writer
	gone bool
}

func (a *watched) Write(p []byte) (int, error) {
	n, err := a.w.Write(p)
	a.gone = a.gone || err != nil
	return n, err
}
