package database

import (
	"context"
	"fmt"
	"time"

	"github.com/lib/pq"
)

// Listen subscribes to a channel of NOTIFY and gives the payloads. It reconnects by itself; since notifications may have been missed
// meanwhile, an empty string tells the reader to look for itself. The channel is closed when ctx ends. A NOTIFY is seen
// after the commit of its transaction.
func (db *DB) Listen(ctx context.Context, channel string) (<-chan string, error) {
	listener := pq.NewListener(db.url, 100*time.Millisecond, 10*time.Second, nil)
	subscribed := make(chan error, 1)
	go func() { subscribed <- listener.Listen(channel) }()
	select {
	case err := <-subscribed:
		if err != nil {
			listener.Close()
			return nil, fmt.Errorf("listen on %s: %w", channel, describe(ctx, err))
		}
	case <-ctx.Done():
		listener.Close()
		return nil, fmt.Errorf("listen on %s: %w: %w", channel, ErrUnavailable, ctx.Err())
	}
	news := make(chan string)
	go pass(ctx, listener, news)
	return news, nil
}

// pass hands notifications on until ctx ends. A ping now and then finds out about a connection that died silently.
func pass(ctx context.Context, listener *pq.Listener, news chan<- string) {
	defer close(news)
	defer listener.Close()
	ping := time.NewTicker(time.Minute)
	defer ping.Stop()
	for {
		payload := ""
		select {
		case <-ctx.Done():
			return
		case <-ping.C:
			go func() { _ = listener.Ping() }() // a failure makes the listener reconnect
			continue
		case notification, open := <-listener.Notify:
			if !open {
				return
			}
			if notification != nil { // nil: reconnected
				payload = notification.Extra
			}
		}
		select {
		case <-ctx.Done():
			return
		case news <- payload:
		}
	}
}
