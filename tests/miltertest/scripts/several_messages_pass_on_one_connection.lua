local conn = connect()
greet(conn)
for number = 1, 4 do
	message(conn, "number " .. number)
	passes(conn, "eom")
end
mt.disconnect(conn)
