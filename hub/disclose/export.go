package disclose

import (
	"context"
	"errors"

	"github.com/google/uuid"

	"github.com/lrshub/lrshub/hub/access"
	"github.com/lrshub/lrshub/hub/audit"
)

// exportBatch is how many statements an export reads at a time.
const exportBatch = 1000

// Export streams every statement of a query, oldest first, in constant memory, to emit, and gives how many it gave. The query's Limit bounds the
// whole export; 0: no bound. One audit event tells of its opening before the first statement goes out, one for each batch tells whose statements are in it
// before that goes out, and one tells how it ended. An error of emit breaks it off.
func (r *Road) Export(ctx context.Context, caller access.Caller, q Query, emit func(statement []byte) error) (count int64, err error) {
	s, err := r.open(ctx, caller, access.Export)
	if err != nil {
		return 0, err
	}
	bound := int64(q.Limit)
	resolved, err := s.resolve(ctx, q)
	if err != nil {
		return 0, s.refuse(ctx, err)
	}
	export := uuid.New()
	err = s.record(ctx, audit.Event{Kind: audit.StatementExport, Fields: map[string]any{
		"export": export, "form": string(s.decision.Form), "grants": s.decision.Grants, "policy": s.decision.Revision,
	}})
	if err != nil {
		return 0, err
	}
	defer func() { // told even when the reader is gone
		ended := s.record(context.WithoutCancel(ctx), audit.Event{Kind: audit.StatementExported, Fields: map[string]any{
			"export": export, "statements": count, "complete": err == nil,
		}})
		err = errors.Join(err, ended)
	}()
	resolved.Ascending = true
	for {
		resolved.Limit = exportBatch
		if bound > 0 {
			resolved.Limit = int(min(exportBatch, bound-count))
		}
		if resolved.Limit == 0 {
			return count, nil
		}
		batch, err := s.read(ctx, resolved)
		if err != nil {
			return count, err
		}
		if err := s.told(ctx, audit.StatementRead, batch); err != nil {
			return count, err
		}
		for _, text := range batch.statements {
			if err := emit(text); err != nil {
				return count, err
			}
			count++
		}
		if !batch.more {
			return count, nil
		}
		resolved.After = batch.last
	}
}
