/** Clients of the tests of this project reach their gates over a delayed network. */
process.env.NESTGATE_TEST_NETWORK = 'delayed';
