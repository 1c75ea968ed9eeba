package sdk

import (
	"fmt"
	"sync"
	"time"

	"github.com/lrshub/lrshub/plugins/contract"
	pb "github.com/lrshub/lrshub/plugins/contract/connectorv1"
	"github.com/lrshub/lrshub/plugins/internal/frames"
)

// emitter sends events as frames and waits for the hub at checkpoints. What is held back to fill a frame leaves after a
// second at the latest, so that a slow source is not taken for a hung connector.
type emitter struct {
	mu     sync.Mutex
	writer *frames.Writer
	ack    func() (*pb.Ack, error)
	closed chan struct{}
}

const flushEvery = time.Second

func newEmitter(send func(*pb.Frame) error, ack func() (*pb.Ack, error)) *emitter {
	e := &emitter{writer: frames.NewWriter(send), ack: ack, closed: make(chan struct{})}
	go e.flush()
	return e
}

func (e *emitter) flush() {
	ticker := time.NewTicker(flushEvery)
	defer ticker.Stop()
	for {
		select {
		case <-e.closed:
			return
		case <-ticker.C:
			e.mu.Lock()
			select {
			case <-e.closed: // close came first: the stream is no longer ours
			default:
				_ = e.writer.Flush() // a broken stream shows at the next event
			}
			e.mu.Unlock()
		}
	}
}

func (e *emitter) emit(event Event) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := e.writer.Write(event); err != nil || event.Kind != contract.EventCheckpoint {
		return err
	}
	ack, err := e.ack()
	if err != nil {
		return err
	}
	if ack.GetSequence() != e.writer.Sequence() {
		return fmt.Errorf("the hub acknowledged checkpoint %d instead of %d", ack.GetSequence(), e.writer.Sequence())
	}
	return nil
}

// close ends the stream; if the read went well it says so to the hub.
func (e *emitter) close(reply *pb.Reply, well bool) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	close(e.closed)
	if !well {
		return e.writer.Flush()
	}
	return e.writer.End(reply)
}
