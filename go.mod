module github.com/ringfleet/ringfleet

go 1.26.0
