package disclose

import (
	"context"

	"github.com/google/uuid"

	"github.com/lrshub/lrshub/hub/database"
	"github.com/lrshub/lrshub/hub/query"
	"github.com/lrshub/lrshub/hub/records"
	"github.com/lrshub/lrshub/hub/xapi"
)

// known refuses, in the pseudonymised form, ids that no statement which the reader may see has in a column: what stands in others, of another purpose say, must not be told
// from what is nowhere. An object must be in the catalogue as well, since the form shows no other. ErrRefused.
func (s *session) known(ctx context.Context, tx *database.Tx, column string, ids ...uuid.UUID) error {
	for _, id := range ids {
		if id == uuid.Nil {
			continue
		}
		filter := query.And{query.Compare{Column: column, Op: query.Equal, Value: id}}
		if column == "object" {
			filter = append(filter, query.Compare{Column: "object_kind", Op: query.Equal, Value: int64(xapi.ObjectActivity)})
		}
		rows, _, err := records.Select(ctx, tx, records.Query{Policy: s.decision.Filter, Filter: filter, Limit: 1, Fresh: true})
		if err != nil {
			return err
		}
		if len(rows) == 0 || column == "object" && rows[0].Activity == "" {
			return ErrRefused
		}
	}
	return nil
}
