package ingest

// Waiting tells how many deliveries wait for their turn, and on how many terms some are on their way.
func (r *Road) Waiting() (deliveries, terms int) {
	r.turns.mu.Lock()
	defer r.turns.mu.Unlock()
	return r.turns.waiting, len(r.turns.of)
}
