package ingest

import (
	"context"
	"fmt"

	"github.com/google/uuid"

	"github.com/lrshub/lrshub/hub/connection"
	"github.com/lrshub/lrshub/hub/database"
)

// streamName names a stream of a connection. Its number never changes, so the cache of one process needs no word from another.
type streamName struct {
	tenant     database.TenantID
	connection uuid.UUID
	stream     string
}

// maxCachedStreams bounds the cache; past it, it starts anew.
const maxCachedStreams = 100_000

// streams gives the numbers of the run's stream and of those that it may look up in, in a transaction of its own where one is new.
func (r *Road) streams(ctx context.Context, run Run) (map[string]int16, error) {
	numbers := map[string]int16{}
	for _, name := range append(run.Mapping.Streams(), run.Stream.Name) {
		key := streamName{run.Tenant, run.Connection, name}
		if n, ok := r.numbers.Load(key); ok {
			numbers[name] = n.(int16)
			continue
		}
		err := r.db.Tenant(ctx, run.Tenant, func(ctx context.Context, tx *database.Tx) error {
			var err error
			numbers[name], err = connection.Stream(ctx, tx, run.Connection, name)
			return err
		})
		if err != nil {
			return nil, fmt.Errorf("number stream %s: %w", name, err)
		}
		if r.cached.Add(1) > maxCachedStreams {
			r.numbers.Clear()
			r.cached.Store(0)
		}
		r.numbers.Store(key, numbers[name])
	}
	return numbers, nil
}
