"""Personal data that its form proves: addresses, numbers with check digits, phones. Names are not looked for."""
