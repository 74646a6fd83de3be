local steady = connect()
greet(steady)
for point = 1, 4 do
	local conn = connect()
	greet(conn)
	if point > 1 then envelope(conn, "<gone@origin.example>", "<rcpt@dest.example>") end
	if point > 2 then headers(conn, "gone") end
	if point > 3 then ok("body", mt.bodystring(conn, "Go")) end
	mt.disconnect(conn, false)
end
message(steady, "still here")
passes(steady, "eom")
mt.disconnect(steady)
