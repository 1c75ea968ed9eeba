package ingest

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/google/uuid"

	"github.com/lrshub/lrshub/hub/records"
	"github.com/lrshub/lrshub/hub/vault"
)

// attachments seals what was sent of a statement's attachments, under its actor's key.
func (s *sealer) attachments(in Incoming, actor *vault.Subject) ([]records.Attachment, error) {
	if len(s.origin.contents) == 0 {
		return nil, nil
	}
	var list []records.Attachment
	for _, a := range in.Statement.Attachments {
		sha2 := strings.ToLower(a.SHA2)
		c := s.origin.contents[sha2]
		if !c.arrived {
			continue
		}
		key := uuid.UUID(s.tenant.Digest("attachment", []byte(sha2))[:16])
		if slices.ContainsFunc(list, func(o records.Attachment) bool { return o.Key == key }) {
			continue // named twice by one statement
		}
		header, err := json.Marshal(records.AttachmentHeader{SHA2: a.SHA2, ContentType: a.ContentType, DataKey: c.key})
		if err != nil {
			return nil, fmt.Errorf("attachment: %w", err)
		}
		row := records.Attachment{Key: key, Size: c.size, Blob: c.blob}
		if row.Header, err = actor.Seal(records.AttachmentContext(in.ID, key), header); err != nil {
			return nil, err
		}
		if c.blob == uuid.Nil {
			if row.Content, err = actor.Seal(records.AttachmentContentContext(in.ID, key), c.inline); err != nil {
				return nil, err
			}
		}
		list = append(list, row)
	}
	return list, nil
}
