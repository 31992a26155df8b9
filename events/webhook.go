package events

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

// The content types of what a webhook gets.
const (
	ContentEvent = "application/cloudevents+json"
	ContentBatch = "application/cloudevents-batch+json"
)

// WebhookConfig is what a [Webhook] is made of.
type WebhookConfig struct {
	// URL is where events are posted to. Required.
	URL string
	// Secrets sign. The first is the newest; while it is being introduced, the one before it follows, and messages
	// carry a signature with each. One or two. Required.
	Secrets []Secret
	// Single says that each request has one event, as an object; by default it has a list of at least one. Give it
	// together with SinkConfig.Batch of 1.
	Single bool
	// Client makes the requests. The default keeps connections open, follows no redirects and uses the proxy of the
	// environment.
	Client *http.Client
}

// Webhook posts events to an HTTP endpoint, signed as Standard Webhooks specifies. It implements [Sink].
type Webhook struct {
	config WebhookConfig
	client *http.Client
}

// NewWebhook returns a webhook. The error says what is wrong with the configuration.
func NewWebhook(config WebhookConfig) (*Webhook, error) {
	u, err := url.Parse(config.URL)
	switch {
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.Fragment != "":
		return nil, errors.New("events: a webhook's URL: want http:// or https://, and a host")
	case u.User != nil:
		return nil, errors.New("events: a webhook's URL has no user and password: what it gets is signed")
	case len(config.Secrets) < 1 || len(config.Secrets) > 2:
		return nil, fmt.Errorf("events: a webhook has one secret or, while one is being replaced, two, not %d", len(config.Secrets))
	}
	for _, s := range config.Secrets {
		if len(s) < minSecret || len(s) > maxSecret {
			return nil, ErrSecret
		}
	}
	w := &Webhook{config: config, client: config.Client}
	if w.client == nil {
		w.client = defaultClient()
	}
	return w, nil
}

// writeBuffer holds most requests whole, so that each is one write: it costs as much as the making of ten events.
const writeBuffer = 32 << 10

func defaultClient() *http.Client {
	dialer := &net.Dialer{Timeout: 5 * time.Second}
	return &http.Client{
		Transport: &http.Transport{
			Proxy: http.ProxyFromEnvironment, DialContext: dialer.DialContext, ForceAttemptHTTP2: true,
			TLSHandshakeTimeout: 5 * time.Second, MaxIdleConns: maxParallel, MaxIdleConnsPerHost: maxParallel,
			IdleConnTimeout: 90 * time.Second, DisableCompression: true, WriteBufferSize: writeBuffer,
			MaxResponseHeaderBytes: maxAnswer,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// maxAnswer is how much of an answer's headers is read, and of its body, so that its connection can be used again.
const maxAnswer = 64 << 10

// Deliver implements [Sink].
func (w *Webhook) Deliver(ctx context.Context, batch []Encoded) error {
	body, content := w.body(batch)
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, w.config.URL, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("events: webhook: %w", err)
	}
	id, now := batchID(batch), time.Now()
	request.Header = http.Header{
		"Content-Type":      {content},
		"User-Agent":        {"ringfleet"},
		"Webhook-Id":        {id},
		"Webhook-Timestamp": {strconv.FormatInt(now.Unix(), 10)},
		"Webhook-Signature": {sign(w.config.Secrets, id, now, body)},
	}
	answer, err := w.client.Do(request)
	if err != nil {
		return fmt.Errorf("events: webhook: %w", err)
	}
	defer answer.Body.Close()
	_, _ = io.CopyN(io.Discard, answer.Body, maxAnswer)
	return judge(answer, now)
}

// judge returns what an answer means.
func judge(answer *http.Response, now time.Time) error {
	status := answer.StatusCode
	err := fmt.Errorf("events: webhook: answered %d", status)
	switch {
	case status >= 200 && status < 300:
		return nil
	case status == http.StatusGone:
		return fmt.Errorf("%w: %w", ErrGone, err)
	case status == http.StatusTooManyRequests, status == http.StatusServiceUnavailable:
		if after, ok := retryAfter(answer.Header.Get("Retry-After"), now); ok {
			return &RetryError{After: after, Err: err}
		}
	case status == http.StatusBadRequest, status == http.StatusRequestEntityTooLarge, status == http.StatusUnprocessableEntity:
		return fmt.Errorf("%w: %w", ErrRejected, err)
	}
	return err
}

// retryAfter reads a Retry-After: a number of seconds, or a date.
func retryAfter(text string, now time.Time) (time.Duration, bool) {
	if seconds, err := strconv.ParseUint(text, 10, 32); err == nil {
		return time.Duration(seconds) * time.Second, true
	}
	at, err := http.ParseTime(text)
	return max(at.Sub(now), 0), err == nil
}

// body returns the body of a request, and its type.
func (w *Webhook) body(batch []Encoded) ([]byte, string) {
	if w.config.Single && len(batch) == 1 {
		return batch[0].Body, ContentEvent
	}
	size := 1
	for _, e := range batch {
		size += len(e.Body) + 1
	}
	data := append(make([]byte, 0, size), '[')
	for i, e := range batch {
		if i > 0 {
			data = append(data, ',')
		}
		data = append(data, e.Body...)
	}
	return append(data, ']'), ContentBatch
}

// batchID returns the id of what is posted: the event's or, of several, one that is the same when the same are posted
// again.
func batchID(batch []Encoded) string {
	if len(batch) == 1 {
		return batch[0].ID
	}
	hash := sha256.New()
	for _, e := range batch {
		_, _ = io.WriteString(hash, e.ID)
		hash.Write([]byte{0})
	}
	return "batch_" + base64.RawURLEncoding.EncodeToString(hash.Sum(nil)[:16])
}
