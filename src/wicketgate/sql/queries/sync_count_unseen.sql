SELECT count(*) FROM unseen
