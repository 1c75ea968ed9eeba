package lrs

import (
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/textproto"
	"strconv"
	"strings"

	"github.com/google/uuid"

	"github.com/lrshub/lrshub/hub/database"
	"github.com/lrshub/lrshub/hub/ingest"
	"github.com/lrshub/lrshub/hub/pace"
)

// Limits of a request in parts (Communication 1.5.2).
const (
	maxParts      = 10_000   // the statements included
	maxPartsBody  = 1 << 30  // bytes of all parts
	maxPartHeader = 64 << 10 // bytes of one part's header
	maxInMemory   = 8 << 20  // bytes of attachments that are in memory at once: of the rest the road in keeps no more (ingest.Delivery)
)

const hashHeader = "X-Experience-API-Hash"

// receiveParts stores statements that come with attachments: the statements are the first part, and checked before any attachment is read; each attachment is sealed
// while it arrives. Nothing is kept of a request that fails.
func (f *face) receiveParts(w http.ResponseWriter, r request, boundary string, terms terms, parse parser) ([]uuid.UUID, error) {
	if boundary == "" || len(boundary) > 70 {
		return nil, bad("Content-Type multipart/mixed needs a boundary of 1 to 70 characters (RFC 2046 section 5.1.1)")
	}
	if r.ContentLength > maxPartsBody {
		return nil, &http.MaxBytesError{Limit: maxPartsBody}
	}
	body := &partsBody{Body: f.paced(w, r.Request, maxPartsBody)}
	parts := partsReader{body: body, reader: multipart.NewReader(body, boundary), memory: r.memory}
	ids, err := f.deliver(r, &parts, terms, parse)
	if err != nil && parts.cut(err) {
		return nil, arrival(w, err)
	}
	return ids, err
}

// deliver takes the parts to the road in.
func (f *face) deliver(r request, parts *partsReader, terms terms, parse parser) ([]uuid.UUID, error) {
	d, err := f.collect(r.caller.Tenant, parts, parse)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	return terms.store(r, d)
}

// collect reads all parts. Nothing is left of a message that it refuses.
func (f *face) collect(tenant database.TenantID, parts *partsReader, parse parser) (*ingest.Delivery, error) {
	text, err := parts.statements()
	if err != nil {
		return nil, err
	}
	batch, err := parse(text)
	if err != nil {
		return nil, err
	}
	d, err := f.writer.Delivery(tenant, batch)
	if err != nil {
		return nil, err
	}
	if err := parts.attachments(d); err != nil {
		d.Close()
		return nil, err
	}
	parts.body.Arrived()
	return d, nil
}

// attachments reads the parts after the first.
func (p *partsReader) attachments(d *ingest.Delivery) error {
	inMemory := int64(maxInMemory)
	for {
		part, err := p.next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		header, err := attachmentHeader(part.Header)
		if err == nil {
			err = d.Add(header, p.memory.watch(part, &inMemory))
		}
		if err != nil {
			return p.at(err)
		}
	}
}

// attachmentHeader reads the header of an attachment's part.
func attachmentHeader(h textproto.MIMEHeader) (ingest.Part, error) {
	part := ingest.Part{SHA2: strings.TrimSpace(h.Get(hashHeader)), Length: -1}
	if part.SHA2 == "" {
		return part, bad("it must have the header " + hashHeader)
	}
	if !strings.EqualFold(strings.TrimSpace(h.Get("Content-Transfer-Encoding")), "binary") {
		return part, bad("it must have the header Content-Transfer-Encoding: binary")
	}
	if text := h.Get("Content-Type"); text != "" { // it should be there (Communication 1.5.2)
		if _, _, err := mime.ParseMediaType(text); err != nil && !errors.Is(err, mime.ErrInvalidMediaParameter) {
			return part, bad("its Content-Type is no media type")
		}
		part.ContentType = text
	}
	if text := h.Get("Content-Length"); text != "" {
		n, err := strconv.ParseInt(strings.TrimSpace(text), 10, 64)
		if err != nil || n < 0 {
			return part, bad("its Content-Length is no number of bytes")
		}
		part.Length = n
	}
	return part, nil
}

// partsReader reads the parts of a message one after the other. A part must be read to its end before the next.
type partsReader struct {
	body   *partsBody
	reader *multipart.Reader
	memory *share
	count  int
}

// next gives the next part, or io.EOF after the last.
func (p *partsReader) next() (*multipart.Part, error) {
	p.body.budget = maxPartHeader
	part, err := p.reader.NextRawPart()
	p.body.budget = -1
	p.count++
	switch {
	case err == nil && p.count > maxParts:
		return nil, problem{http.StatusRequestEntityTooLarge, "the request has more than " + strconv.Itoa(maxParts) + " parts"}
	case err == nil, err == io.EOF, p.cut(err):
		return part, err
	case errors.Is(err, errPartHeader):
		return nil, p.at(bad("its header has more than %d bytes", maxPartHeader))
	}
	return nil, p.at(bad("its header is malformed, or there is no boundary before or after it (RFC 2046 section 5.1)"))
}

// statements reads the first part.
func (p *partsReader) statements() ([]byte, error) {
	part, err := p.next()
	if err == io.EOF {
		return nil, bad("the request has no part: the first one must be the statements")
	}
	if err != nil {
		return nil, err
	}
	if kind, _, err := mime.ParseMediaType(part.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		return nil, bad("the first part must be the statements, with the header Content-Type: application/json")
	}
	return p.memory.read(part, maxBody, -1, statementsWeight)
}

// at says in which part something is wrong.
func (p *partsReader) at(err error) error {
	var refused *ingest.AttachmentError
	var wrong problem
	where := "part " + strconv.Itoa(p.count) + ": "
	switch {
	case p.cut(err):
	case errors.As(err, &refused):
		return &ingest.AttachmentError{Reason: where + refused.Reason, TooLarge: refused.TooLarge}
	case errors.As(err, &wrong):
		return problem{wrong.status, where + wrong.text}
	}
	return err
}

// cut says whether the error is that the body could not be read to its end.
func (p *partsReader) cut(err error) bool {
	return p.body.Failed() != nil && errors.Is(err, p.body.Failed()) || errors.Is(err, io.ErrUnexpectedEOF)
}

// errPartHeader ends the reading of a header that is too long.
var errPartHeader = errors.New("the header of a part is too long")

// partsBody is the body of a message in parts.
type partsBody struct {
	*pace.Body
	budget int // bytes that may come before the part's content begins; -1: as many as will
}

func (b *partsBody) Read(p []byte) (int, error) {
	if b.budget == 0 {
		return 0, errPartHeader
	}
	if b.budget > 0 && len(p) > b.budget {
		p = p[:b.budget]
	}
	n, err := b.Body.Read(p)
	if b.budget > 0 {
		b.budget -= n
	}
	return n, err
}
