package fleet_test

func removeBuilt() {}
