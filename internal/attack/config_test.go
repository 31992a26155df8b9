package attack

import (
	"github.com/ringfleet/ringfleet/gateway"
	"github.com/ringfleet/ringfleet/gateway/auth"
)

func gatewayConfig() gateway.Config { return gateway.Config{Authenticator: auth.Development{}} }
