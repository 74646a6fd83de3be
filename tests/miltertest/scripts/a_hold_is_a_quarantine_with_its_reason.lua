local conn = connect()
greet(conn)
message(conn, "x")
passes(conn, "eom")
if not mt.eom_check(conn, MT_QUARANTINE, "looks odd") then fail("no quarantine") end
mt.disconnect(conn)
