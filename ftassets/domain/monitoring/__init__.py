"""What is concluded from live traffic: quality, behaviour, the golden rows on the endpoint."""
