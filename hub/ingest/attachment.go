package ingest

import (
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"strings"

	"github.com/google/uuid"

	"github.com/lrshub/lrshub/hub/database"
	"github.com/lrshub/lrshub/hub/records"
	"github.com/lrshub/lrshub/hub/vault"
	"github.com/lrshub/lrshub/hub/xapi"
)

// Blobs keeps sealed bytes that are too large for a row: blob.Folder. What Put has given a name survives a power cut.
type Blobs interface {
	Put(write func(w io.Writer) error) (name uuid.UUID, err error)
	Delete(name uuid.UUID) error
}

const (
	// maxInline is how many bytes of an attachment are kept in its row; larger ones go to the blob store as they arrive.
	maxInline = 64 << 10
	// maxInlineTotal bounds what one request brings into rows and memory, each content counted for each statement that names it; the rest goes to the blob store.
	maxInlineTotal = 8 << 20
	// maxSignature bounds the bytes of a signature, which is read whole.
	maxSignature = 1 << 20
)

// AttachmentError says what is wrong with the attachments of a request. Nothing in it was written by the sender.
type AttachmentError struct {
	Reason   string
	TooLarge bool // more than this hub takes
}

func (e *AttachmentError) Error() string { return e.Reason }

func refused(format string, args ...any) error {
	return &AttachmentError{Reason: fmt.Sprintf(format, args...)}
}

// Part is what the header of an attachment's part says (1.0.3 Communication 1.5.2).
type Part struct {
	SHA2        string // X-Experience-API-Hash
	ContentType string // "" if absent
	Length      int64  // Content-Length; -1 if absent
}

// Delivery is a batch of statements on its way in, with the attachments that come beside it: Add each, Store all, and Close in any case. It is for one goroutine.
//
// What is small stays in memory. What is large is sealed into the blob store while it arrives, under a data key of its own that is sealed for its statements' actors
// only with the rows that name it.
type Delivery struct {
	road     *Road
	tenant   database.TenantID
	batch    []*xapi.Statement
	contents map[string]*content // by sha2 in lower case: what the statements name
	inline   int64               // bytes of the contents in memory, each counted as often as it will be sealed
	unsure   bool                // whether the statements were committed is not known
}

// content is what was sent for a sha2.
type content struct {
	named   []named
	arrived bool
	size    int64
	inline  []byte
	blob    uuid.UUID // Nil where it is inline
	key     vault.DataKey
	kept    bool // a stored statement names the blob
}

// named is one place where the statements name a content.
type named struct {
	statement  int // index in the batch
	attachment *xapi.Attachment
}

// Delivery begins to take a batch. The error is an AttachmentError.
func (r *Road) Delivery(tenant database.TenantID, batch []*xapi.Statement) (*Delivery, error) {
	d := &Delivery{road: r, tenant: tenant, batch: batch, contents: map[string]*content{}}
	for i, st := range batch {
		for j := range st.Attachments {
			a := &st.Attachments[j]
			if a.IsSignature() && essence(a.ContentType) != xapi.SignatureType {
				return nil, refused("the signature of statement %d must have the contentType %s (Data 2.6)", i, xapi.SignatureType)
			}
			sha2 := strings.ToLower(a.SHA2)
			if d.contents[sha2] == nil {
				d.contents[sha2] = &content{}
			}
			d.contents[sha2].named = append(d.contents[sha2].named, named{i, a})
		}
	}
	return d, nil
}

// Add takes the content of an attachment, to its end. A content that came before is read and not kept again. Errors: AttachmentError, and those of body.
func (d *Delivery) Add(part Part, body io.Reader) error {
	sha2 := strings.ToLower(part.SHA2)
	c := d.contents[sha2]
	if c == nil {
		return refused("its X-Experience-API-Hash is the sha2 of no attachment in the statements")
	}
	if err := c.matches(part, d.batch[0].Version); err != nil {
		return err
	}
	in := &arriving{body: body, sum: newHash(len(sha2)), sha2: sha2, length: part.Length}
	if c.arrived {
		if _, err := io.Copy(io.Discard, in); err != nil {
			return err
		}
		return in.verify()
	}
	limit := int64(maxInline)
	if c.signs() {
		limit = maxSignature
	}
	head, err := io.ReadAll(io.LimitReader(in, limit+1))
	if err != nil {
		return err
	}
	if c.signs() {
		if err := d.signature(c, in, head); err != nil {
			return err
		}
	}
	uses := int64(c.statements())
	if size := int64(len(head)); size <= maxInline && d.inline+size*uses <= maxInlineTotal {
		d.inline += size * uses
		c.inline, c.arrived, c.size = head, true, size
		return in.verify() // whoever is told of an error stores nothing
	}
	return d.outside(c, in, head)
}

// signature checks a signature against all statements that it is to be of.
func (d *Delivery) signature(c *content, in *arriving, head []byte) error {
	if len(head) > maxSignature {
		return &AttachmentError{Reason: fmt.Sprintf("a signature has more than %d bytes", maxSignature), TooLarge: true}
	}
	if err := in.verify(); err != nil {
		return err
	}
	for _, n := range c.named {
		if !n.attachment.IsSignature() {
			continue
		}
		if err := checkSignature(d.batch[n.statement], string(head)); err != nil {
			return refused("the signature of statement %d %v", n.statement, err)
		}
	}
	return nil
}

// outside seals a content into the blob store: head, and what follows it.
func (d *Delivery) outside(c *content, in *arriving, head []byte) error {
	blobs := d.road.blobs
	if blobs == nil {
		return &AttachmentError{TooLarge: true, Reason: fmt.Sprintf("this hub has no place for more: it takes attachments of up to %d bytes, %d in all, until its operator gives it a folder for larger ones",
			maxInline, maxInlineTotal)}
	}
	key := vault.NewDataKey()
	name, err := blobs.Put(func(w io.Writer) error {
		sealed, err := key.Writer(w, records.BlobContext)
		if err != nil {
			return err
		}
		if _, err := sealed.Write(head); err != nil {
			return err
		}
		if _, err := io.Copy(sealed, in); err != nil {
			return err
		}
		if err := in.verify(); err != nil {
			return err
		}
		return sealed.Close()
	})
	if err != nil {
		return err
	}
	c.blob, c.key, c.arrived, c.size = name, key, true, in.size
	return nil
}

// complete checks that all that must be sent was: an attachment that is nowhere else, and a signature wherever else it is (Communication 1.5.2, Data 2.6).
func (d *Delivery) complete() error {
	for i, st := range d.batch {
		for j, a := range st.Attachments {
			if d.contents[strings.ToLower(a.SHA2)].arrived {
				continue
			}
			if a.IsSignature() {
				return refused("statement %d: its signature (attachment %d) must come with it, as a part of a multipart/mixed request", i, j)
			}
			if a.FileURL == "" {
				return refused("statement %d: attachment %d has neither a fileUrl nor content in this request, which is a part of multipart/mixed with its sha2 as X-Experience-API-Hash", i, j)
			}
		}
	}
	return nil
}

// small tells whether the delivery is one of few statements and nothing beside them.
func (d *Delivery) small() bool {
	for _, c := range d.contents {
		if c.arrived {
			return false
		}
	}
	return len(d.batch) <= maxSmall
}

// settle notes which blobs the stored statements name. ids are those of the batch.
func (d *Delivery) settle(ids []uuid.UUID, stored map[uuid.UUID]bool) {
	for _, c := range d.contents {
		for _, n := range c.named {
			c.kept = c.kept || stored[ids[n.statement]]
		}
	}
}

// Close removes what was sealed in vain. Where a commit's answer was lost nobody may: the blobs are left to the sweep, which asks the rows a day later; so are those that
// cannot be removed now.
func (d *Delivery) Close() {
	for _, c := range d.contents {
		if c.blob != uuid.Nil && !c.kept && !d.unsure {
			_ = d.road.blobs.Delete(c.blob)
		}
	}
}

// statements counts the statements that name the content.
func (c *content) statements() (n int) {
	last := -1
	for _, named := range c.named { // in the order of the batch
		if named.statement != last {
			n, last = n+1, named.statement
		}
	}
	return n
}

func (c *content) signs() bool {
	for _, n := range c.named {
		if n.attachment.IsSignature() {
			return true
		}
	}
	return false
}

// matches checks a part's header against what the statements say of the content (Communication 1.5.2; 2.0 says nothing of the type).
func (c *content) matches(part Part, version xapi.Version) error {
	kind, length := part.ContentType == "" || version != xapi.V1, part.Length < 0
	for _, n := range c.named {
		kind = kind || essence(part.ContentType) == essence(n.attachment.ContentType)
		length = length || part.Length == n.attachment.Length
	}
	if !kind {
		return refused("its Content-Type is not the contentType that the statements give the attachment")
	}
	if !length {
		return refused("its Content-Length is not the length that the statements give the attachment")
	}
	return nil
}

// essence is a media type without its parameters.
func essence(mediaType string) string {
	kind, _, _ := strings.Cut(mediaType, ";")
	return strings.ToLower(strings.TrimSpace(kind))
}

// arriving is a part's body, counted and hashed as it is read.
type arriving struct {
	body   io.Reader
	sum    hash.Hash
	sha2   string
	length int64 // that its header gave, or -1
	size   int64
}

func (a *arriving) Read(p []byte) (int, error) {
	n, err := a.body.Read(p)
	a.sum.Write(p[:n])
	a.size += int64(n)
	return n, err
}

// verify is called at the end.
func (a *arriving) verify() error {
	if hex.EncodeToString(a.sum.Sum(nil)) != a.sha2 {
		return refused("its X-Experience-API-Hash is not the SHA-2 of its content")
	}
	if a.length >= 0 && a.length != a.size {
		return refused("its Content-Length is not the length of its content")
	}
	return nil
}

// newHash makes the SHA-2 whose hexadecimal form has so many digits; xapi lets no other pass.
func newHash(digits int) hash.Hash {
	switch digits / 2 {
	case sha256.Size224:
		return sha256.New224()
	case sha512.Size384:
		return sha512.New384()
	case sha512.Size:
		return sha512.New()
	}
	return sha256.New()
}
