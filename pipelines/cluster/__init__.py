"""Everything between the command line and a cluster: settings, compiling, the KFP API, schedules."""
