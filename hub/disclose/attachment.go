package disclose

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"

	"github.com/google/uuid"

	"github.com/lrshub/lrshub/hub/database"
	"github.com/lrshub/lrshub/hub/records"
	"github.com/lrshub/lrshub/hub/vault"
)

// Blobs has the attachments that are too large for a row: blob.Folder.
type Blobs interface {
	Open(name uuid.UUID) (io.ReadCloser, error)
}

// UseBlobs gives the road the place of large attachments. It is called before the road is used.
func (r *Road) UseBlobs(b Blobs) { r.blobs = b }

// Attachments are those of the statements that are shown whose content is here. The pseudonymised form has none.
type Attachments struct {
	session *session
	list    []attachment // in the order of the statements
}

// attachment is one attachment of one statement, known but not read.
type attachment struct {
	stored records.StoredAttachment
	header records.AttachmentHeader
	owner  *vault.Subject // the statement's actor, for content in the row
}

// Attachment is what is shown of an attachment.
type Attachment struct {
	Statement   uuid.UUID
	SHA2        string // as its statement has it
	ContentType string // likewise
	Size        int64  // bytes
	Content     io.Reader
}

// Distinct reads the attachments one after the other, each content once however many statements have it. What has been erased since they were listed is left out.
// An error ends it. Content is good until the next.
func (a *Attachments) Distinct(ctx context.Context) iter.Seq2[Attachment, error] {
	return a.read(ctx, true)
}

// All reads every attachment of every statement, as Distinct does.
func (a *Attachments) All(ctx context.Context) iter.Seq2[Attachment, error] {
	return a.read(ctx, false)
}

func (a *Attachments) read(ctx context.Context, distinct bool) iter.Seq2[Attachment, error] {
	return func(yield func(Attachment, error) bool) {
		given := map[uuid.UUID]bool{}
		for _, at := range a.list {
			if distinct && given[at.stored.Key] {
				continue
			}
			content, err := a.session.content(ctx, at)
			if errors.Is(err, records.ErrNotFound) {
				continue
			}
			if err != nil {
				yield(Attachment{}, fmt.Errorf("open an attachment of statement %s: %w", at.stored.Statement, err))
				return
			}
			given[at.stored.Key] = true
			shown := Attachment{Statement: at.stored.Statement, SHA2: at.header.SHA2, ContentType: at.header.ContentType, Size: at.stored.Size, Content: content}
			goOn := yield(shown, nil)
			_ = content.Close() // only read
			if !goOn {
				return
			}
		}
	}
}

// attachments lists what is stored of the attachments of statements that were opened, in the order of ids.
func (s *session) attachments(ctx context.Context, tx *database.Tx, opened map[uuid.UUID]*records.Row, ids []uuid.UUID) ([]attachment, error) {
	rows, err := records.AttachmentsOf(ctx, tx, ids)
	if err != nil {
		return nil, err
	}
	var list []attachment
	for _, stored := range rows {
		row := opened[stored.Statement]
		if row == nil {
			continue
		}
		at := attachment{stored: stored}
		if at.owner, err = s.tenant.Unwrap(row.Actor, vault.Learning, row.Epoch, row.Wrapped); err != nil {
			return nil, err
		}
		text, err := at.owner.Open(records.AttachmentContext(stored.Statement, stored.Key), stored.Header)
		if err != nil {
			return nil, fmt.Errorf("open an attachment of statement %s: %w", stored.Statement, err)
		}
		if err := json.Unmarshal(text, &at.header); err != nil {
			return nil, fmt.Errorf("an attachment of statement %s has no header: %w", stored.Statement, err)
		}
		list = append(list, at)
	}
	return list, nil
}

// content opens an attachment's content. records.ErrNotFound when it was erased meanwhile.
func (s *session) content(ctx context.Context, at attachment) (io.ReadCloser, error) {
	if at.stored.Blob.Valid {
		return s.blob(at)
	}
	var sealed []byte
	err := s.road.db.ReadTenant(ctx, s.caller.Tenant, func(ctx context.Context, tx *database.Tx) (err error) {
		sealed, err = records.AttachmentContent(ctx, tx, at.stored.Statement, at.stored.Key)
		return err
	})
	if err != nil {
		return nil, err
	}
	plain, err := at.owner.Open(records.AttachmentContentContext(at.stored.Statement, at.stored.Key), sealed)
	return io.NopCloser(bytes.NewReader(plain)), err
}

// errNoBlobs: a row names a blob, and this hub was not told where they are.
var errNoBlobs = errors.New("disclose: this hub has no folder of large attachments, as the one that stored it had")

func (s *session) blob(at attachment) (io.ReadCloser, error) {
	if s.road.blobs == nil {
		return nil, errNoBlobs
	}
	sealed, err := s.road.blobs.Open(at.stored.Blob.UUID)
	if err != nil {
		return nil, err
	}
	plain, err := vault.DataKey(at.header.DataKey).Reader(sealed, records.BlobContext)
	if err != nil {
		return nil, errors.Join(err, sealed.Close())
	}
	return struct {
		io.Reader
		io.Closer
	}{plain, sealed}, nil
}
