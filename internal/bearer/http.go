package bearer

import (
	"context"
	"errors"
	"net/http"
	"strings"
)

// Require lets through to next what brings a token with the scope, in the header "Authorization: Bearer …", and
// answers the rest with 401 or 403 and a text that says why. next finds who it was with [From].
func (t *Tokens) Require(scope string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		grant, err := t.Authorize(Token(r.Header.Get("Authorization")), scope)
		if err == nil {
			next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), grantKey{}, grant)))
			return
		}
		status := http.StatusUnauthorized
		if errors.Is(err, ErrScope) || errors.Is(err, ErrClosed) {
			status = http.StatusForbidden
		}
		if status == http.StatusUnauthorized {
			w.Header().Set("WWW-Authenticate", `Bearer realm="ringfleet"`)
		}
		http.Error(w, err.Error(), status)
	})
}

type grantKey struct{}

// From returns who was let through by [Tokens.Require].
func From(ctx context.Context) (Grant, bool) {
	grant, ok := ctx.Value(grantKey{}).(Grant)
	return grant, ok
}

// Token returns the token of an Authorization header, or of a gRPC call's metadata of that name; "" when it has none.
// The word before it may be written in any case (RFC 9110 §11.1).
func Token(header string) string {
	const scheme = "bearer "
	if len(header) < len(scheme) || !strings.EqualFold(header[:len(scheme)], scheme) {
		return ""
	}
	return strings.TrimSpace(header[len(scheme):])
}
