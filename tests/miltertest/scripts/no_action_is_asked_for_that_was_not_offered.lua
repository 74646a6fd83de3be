-- Only adding headers is offered; the verdict wants everything.
local conn = connect()
negotiate_old(conn, 2, SMFIF_ADDHDRS)
if mt.test_action(conn, SMFIF_CHGBODY) then error("asks to change the body") end
if mt.test_action(conn, SMFIF_ADDRCPT) then error("asks to add recipients") end
if mt.test_action(conn, SMFIF_QUARANTINE) then error("asks to quarantine") end
greet(conn)
message(conn, "x")
passes(conn, "eom")
if not mt.eom_check(conn, MT_HDRADD, "X-Bottom") then error("what can be done is not done") end
if mt.eom_check(conn, MT_BODYCHANGE) then error("changed the body unasked") end
if mt.eom_check(conn, MT_RCPTADD, "<new@dest.example>") then error("added a recipient unasked") end
if mt.eom_check(conn, MT_HDRCHANGE, "Subject") then error("changed a header unasked") end
mt.disconnect(conn)
