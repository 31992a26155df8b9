package main

import (
	"errors"
	"flag"
	"fmt"
	"net"

	"github.com/ringfleet/ringfleet"
)

// apiSettings are the settings about the API for back ends and operators.
type apiSettings struct {
	address   string
	tokens    string
	cert, key string
	rate      float64
}

const (
	// auto is an API's address that is chosen: see --help.
	auto = "auto"
	// apiAddress is what is tried first then.
	apiAddress = "127.0.0.1:9190"
)

func (a *apiSettings) register(f *flag.FlagSet) {
	f.StringVar(&a.address, "api-address", auto, "`host:port` for the API of back ends; off: none; auto: "+apiAddress+
		" or, if that is taken, another port there, where clients are believed (auth development) or api-tokens-file is given")
	f.StringVar(&a.tokens, "api-tokens-file", "", "`file` of tokens for the API, one a line: name, scopes (read, call, admin, or *), token or sha256:HASH; read again when it changes")
	f.StringVar(&a.cert, "api-cert-file", "", "PEM `file` with the certificate of the API; read again when it changes; default: no TLS")
	f.StringVar(&a.key, "api-key-file", "", "PEM `file` with its key")
	f.Float64Var(&a.rate, "api-rate", 100, "requests per second of one token")
}

// resolve returns the API's configuration, nil for none, or what is wrong with the settings. development: clients are
// believed.
func (a *apiSettings) resolve(development bool) (*ringfleet.APIConfig, error) {
	open := a.tokens == ""
	switch {
	case a.address == off || a.address == "":
		if a.tokens != "" || a.cert != "" || a.key != "" {
			return nil, errors.New("api-tokens-file, api-cert-file and api-key-file are for an API, but api-address is off")
		}
		return nil, nil //nolint:nilnil // there is none
	case a.address == auto && open && !development:
		return nil, nil //nolint:nilnil // nobody may use it
	case open && !development:
		return nil, errors.New("api-address needs api-tokens-file, as auth is not development")
	case a.rate <= 0:
		return nil, fmt.Errorf("api-rate is %v: want more than 0", a.rate)
	}
	config := &ringfleet.APIConfig{Address: a.address, TokensFile: a.tokens, Rate: a.rate}
	if a.address == auto {
		config.Address = apiAddress
	}
	if a.cert == "" && a.key == "" {
		return config, nil
	}
	if err := (&ringfleet.ClientTLS{Cert: a.cert, Key: a.key}).Check(); err != nil {
		return nil, fmt.Errorf("api-cert-file, api-key-file: %w", err)
	}
	config.CertFile, config.KeyFile = a.cert, a.key
	return config, nil
}

// listen opens an address that is to be chosen.
func (a *apiSettings) listen(config *ringfleet.APIConfig) error {
	if config == nil || a.address != auto {
		return nil
	}
	listener, err := net.Listen("tcp", apiAddress)
	if err != nil { // another node of this machine has it, most likely
		listener, err = net.Listen("tcp", "127.0.0.1:0")
	}
	if err != nil {
		return fmt.Errorf("ringfleet: api address: %w", err)
	}
	config.Listener = listener
	return nil
}

// say returns the line that tells where the API is, "" where there is none.
func (a *apiSettings) say(node *ringfleet.Node) string {
	if node.APIAddress() == nil {
		return ""
	}
	scheme := "http"
	if a.cert != "" {
		scheme = "https"
	}
	return fmt.Sprintf("ringfleet %s serves its API on %s\n", node.Name(), location(scheme, node.APIAddress()))
}

// plain reports whether tokens would go over a network as they are.
func (a *apiSettings) plain(config *ringfleet.APIConfig) bool {
	return config != nil && config.CertFile == "" && !isLoopback(config.Address)
}

// of returns the address of node number i of several on this machine; config is that of all.
func (a *apiSettings) of(i int, config *ringfleet.APIConfig) string {
	switch {
	case config == nil:
		return off
	case a.address == auto && i == 0:
		return auto
	}
	return address(config.Address, i)
}
