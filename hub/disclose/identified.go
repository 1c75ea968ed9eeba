package disclose

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"

	"github.com/lrshub/lrshub/hub/access"
	"github.com/lrshub/lrshub/hub/database"
	"github.com/lrshub/lrshub/hub/records"
	"github.com/lrshub/lrshub/hub/vault"
	"github.com/lrshub/lrshub/hub/xapi"
)

// identified makes statements as they were sent, with what the store adds. A statement whose actor's key was destroyed is gone and left out;
// another agent whose key was destroyed appears as a tombstone.
func (s *session) identified(ctx context.Context, tx *database.Tx, rows []records.Row, out *shown) error {
	if !s.decision.Columns["frame"] {
		return fmt.Errorf("%w: the decision does not name the statement as sent", access.ErrDenied)
	}
	ids, authorities := make([]uuid.UUID, len(rows)), map[uuid.UUID]bool{}
	for i := range rows {
		ids[i] = rows[i].ID
		authorities[rows[i].Authority] = true
	}
	agents, err := records.AgentsOf(ctx, tx, ids)
	if err != nil {
		return err
	}
	authority, err := s.road.vault.Identifiers(ctx, tx, keys(authorities))
	if err != nil {
		return err
	}
	subjects, open := map[uuid.UUID]bool{}, map[uuid.UUID]*records.Row{}
	for i := range rows {
		row := &rows[i]
		text, err := s.openStatement(row, agents[row.ID], authority[row.Authority])
		if errors.Is(err, vault.ErrShredded) {
			continue
		}
		if err != nil {
			return fmt.Errorf("open statement %s: %w", row.ID, err)
		}
		out.statements, out.positions = append(out.statements, text), append(out.positions, row.Seq)
		open[row.ID] = row
		subjects[row.Actor] = true
		for _, a := range agents[row.ID] {
			subjects[a.Subject] = true
		}
	}
	out.subjects = keys(subjects)
	if out.attachments != nil {
		out.attachments.list, err = s.attachments(ctx, tx, open, ids)
	}
	return err
}

func (s *session) openStatement(row *records.Row, agents []records.SealedAgent, authority []byte) ([]byte, error) {
	actor, err := s.tenant.Unwrap(row.Actor, vault.Learning, row.Epoch, row.Wrapped)
	if err != nil {
		return nil, err
	}
	frame, err := actor.Open(records.FrameContext(row.ID), row.Frame)
	if err != nil {
		return nil, err
	}
	parts := make([][]byte, len(agents))
	for slot, a := range agents {
		if parts[slot], err = s.openAgent(row.ID, a); err != nil {
			return nil, err
		}
	}
	raw, err := xapi.Join(frame, parts)
	if err != nil {
		return nil, err
	}
	return xapi.Finish(raw, xapi.Set{
		ID: row.ID, Stored: row.Stored, Timestamp: row.Timestamp, Authority: authority, Version: row.Version.StatementVersion(),
	})
}

func (s *session) openAgent(statement uuid.UUID, a records.SealedAgent) ([]byte, error) {
	subject, err := s.tenant.Unwrap(a.Subject, vault.Learning, a.Epoch, a.Wrapped)
	if errors.Is(err, vault.ErrShredded) {
		return s.tombstone(a), nil
	}
	if err != nil {
		return nil, err
	}
	return subject.Open(records.AgentContext(statement, a.Slot), a.Sealed)
}

// tombstone stands for somebody who was erased, in other people's statements. Where only a group may stand (Data 2.4.6) it is one.
func (s *session) tombstone(a records.SealedAgent) []byte {
	return xapi.Agent{
		Group:      a.Role == xapi.RoleTeam || a.Role == xapi.RoleContextGroup,
		Identifier: xapi.Identifier{Kind: xapi.Account, HomePage: s.road.homePage + "/tombstones", Name: a.Subject.String()},
	}.JSON()
}

func keys(set map[uuid.UUID]bool) []uuid.UUID {
	list := make([]uuid.UUID, 0, len(set))
	for id := range set {
		list = append(list, id)
	}
	return list
}
