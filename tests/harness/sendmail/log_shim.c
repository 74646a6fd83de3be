/* Preloaded into Sendmail: its syslog lines go to the file named by MILLRACE_TEST_SYSLOG. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *path;

/* Early, and a copy: Sendmail clears its environment and writes its title over it. */
__attribute__((constructor)) static void find_path(void)
{
	const char *value = getenv("MILLRACE_TEST_SYSLOG");

	path = value ? strdup(value) : NULL;
}

static void put(const char *format, va_list arguments)
{
	FILE *log = path ? fopen(path, "a") : NULL;
	char line[4096];
	if (log == NULL)
		return;
	vsnprintf(line, sizeof line, format, arguments);
	fprintf(log, "%s\n", line);
	fclose(log);
}

void vsyslog(int priority, const char *format, va_list arguments) { put(format, arguments); }
void __vsyslog_chk(int priority, int flag, const char *format, va_list arguments) { put(format, arguments); }
void syslog(int priority, const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	put(format, arguments);
	va_end(arguments);
}
void __syslog_chk(int priority, int flag, const char *format, ...)
{
	va_list arguments;
	va_start(arguments, format);
	put(format, arguments);
	va_end(arguments);
}
