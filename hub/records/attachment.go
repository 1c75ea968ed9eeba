package records

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/google/uuid"

	"github.com/lrshub/lrshub/hub/database"
)

// Attachment is what was sent of an attachment of a statement. Content is in the row or in a blob.
type Attachment struct {
	Key     uuid.UUID // blind index of its sha2
	Size    int64     // bytes of the content
	Header  []byte    // an AttachmentHeader in JSON, sealed under the actor's learning key with AttachmentContext
	Content []byte    // sealed likewise, with AttachmentContentContext; nil where it is in a blob
	Blob    uuid.UUID // name in the blob store; Nil where the content is in the row
}

// AttachmentHeader is what stands above the attachment in a message in parts, and how its blob is opened.
type AttachmentHeader struct {
	SHA2        string `json:"sha2"` // as the statement spells it
	ContentType string `json:"contentType"`
	DataKey     []byte `json:"dataKey,omitempty"` // vault.DataKey of the blob, whose context is BlobContext
}

// AttachmentContext binds a sealed header to its attachment.
func AttachmentContext(statement, key uuid.UUID) string {
	return "attachment|" + statement.String() + "|" + key.String()
}

// AttachmentContentContext binds sealed content to its attachment.
func AttachmentContentContext(statement, key uuid.UUID) string {
	return "attachment-content|" + statement.String() + "|" + key.String()
}

// BlobContext is the context of blobs: each has a data key of its own, so none can be taken for another.
const BlobContext = "attachment"

// insertAttachments writes the attachments of statements that were really stored.
func insertAttachments(ctx context.Context, tx *database.Tx, batch []*Statement, stored map[uuid.UUID]bool) error {
	var ids, keys, blobs []uuid.UUID
	var sizes []int64
	var headers, contents [][]byte
	for _, s := range batch {
		if !stored[s.ID] {
			continue
		}
		for _, a := range s.Attachments {
			ids, keys, blobs, sizes = append(ids, s.ID), append(keys, a.Key), append(blobs, a.Blob), append(sizes, a.Size)
			headers, contents = append(headers, a.Header), append(contents, a.Content)
		}
	}
	if len(ids) == 0 {
		return nil
	}
	_, err := tx.ExecContext(ctx, `
INSERT INTO statement_attachment (tenant_id, content, header, statement_id, key, size, blob)
SELECT $1, n.* FROM unnest($2::bytea[], $3::bytea[], $4::uuid[], $5::uuid[], $6::bigint[], $7::uuid[]) AS n`,
		tx.Tenant, database.Byteas(contents), database.Byteas(headers), database.UUIDs(ids), database.UUIDs(keys), database.Int8s(sizes), database.NullUUIDs(blobs))
	if err != nil {
		return fmt.Errorf("records: insert attachments: %w", err)
	}
	return nil
}

// StoredAttachment is an attachment as read. Its content, if it has no blob, is read by AttachmentContent.
type StoredAttachment struct {
	Statement uuid.UUID `db:"statement_id"`
	Key       uuid.UUID
	Size      int64
	Header    []byte
	Blob      uuid.NullUUID
}

// AttachmentsOf gives the attachments of statements, those of one statement together.
func AttachmentsOf(ctx context.Context, tx *database.Tx, statements []uuid.UUID) ([]StoredAttachment, error) {
	var list []StoredAttachment
	err := tx.SelectContext(ctx, &list, `
SELECT a.statement_id, a.key, a.size, a.header, a.blob FROM unnest($2::uuid[]) WITH ORDINALITY AS n(id, at)
CROSS JOIN LATERAL (SELECT * FROM statement_attachment WHERE tenant_id = $1 AND statement_id = n.id OFFSET 0) AS a
ORDER BY n.at, a.key`, tx.Tenant, database.UUIDs(statements))
	if err != nil {
		return nil, fmt.Errorf("records: select attachments: %w", err)
	}
	return list, nil
}

// AttachmentContent gives the sealed content of an attachment that is in its row. ErrNotFound when it was erased.
func AttachmentContent(ctx context.Context, tx *database.Tx, statement, key uuid.UUID) ([]byte, error) {
	var content []byte
	err := tx.GetContext(ctx, &content, `SELECT content FROM statement_attachment WHERE tenant_id = $1 AND statement_id = $2 AND key = $3`, tx.Tenant, statement, key)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, ErrNotFound
	}
	if err != nil {
		return nil, fmt.Errorf("records: read an attachment: %w", err)
	}
	return content, nil
}

// KnownBlobs tells which of these blobs an attachment of the tenant names.
func KnownBlobs(ctx context.Context, tx *database.Tx, names []uuid.UUID) ([]uuid.UUID, error) {
	var known []uuid.UUID
	err := tx.SelectContext(ctx, &known, `
SELECT n.name FROM unnest($2::uuid[]) AS n(name)
WHERE EXISTS (SELECT FROM statement_attachment WHERE tenant_id = $1 AND blob = n.name)`, tx.Tenant, database.UUIDs(names))
	if err != nil {
		return nil, fmt.Errorf("records: look for blobs: %w", err)
	}
	return known, nil
}
